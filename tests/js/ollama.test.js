// The official `ollama` package for JavaScript, unmodified. CLIENT_URL is what it is told;
// MACHINE_URL is the simulated machine that answers in the end, and says what it was asked.

import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { Ollama } from 'ollama'

const { CLIENT_URL, MACHINE_URL } = process.env
const ollama = new Ollama({ host: CLIENT_URL })
const prompt = 'why is the sky blue'
const messages = [{ role: 'user', content: prompt }]
const words = prompt.split(' ')
const answer = Array.from({ length: 16 }, (_, n) => words[n % words.length]).join(' ')
let before = 0

beforeEach(async () => {
  before = (await asked()).length
})

async function asked() {
  const calls = await (await fetch(`${MACHINE_URL}/simulator/requests`)).json()
  return calls.filter((call) => call.method === 'POST')
}

async function lastBody() {
  return JSON.parse((await asked()).at(-1).body)
}

async function script(...scripts) {
  const pushed = await fetch(`${MACHINE_URL}/simulator/script`, {
    method: 'POST',
    body: JSON.stringify(scripts),
  })
  assert.equal((await pushed.json()).queued, scripts.length)
}

async function all(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

async function hungUp() {
  for (let tries = 0; tries < 1000; tries++) {
    const call = (await asked())[before]
    if (call?.hung_up_at != null) return
    await after(20)
  }
  assert.fail('the model goes on')
}

test('chat', async () => {
  const whole = await ollama.chat({ model: 'm', messages })
  assert.equal(whole.message.content, answer)
  assert.deepEqual([whole.done, whole.done_reason, whole.eval_count], [true, 'stop', 16])
})

test('chat, streaming', async () => {
  const chunks = await all(await ollama.chat({ model: 'm', messages, stream: true }))
  assert.equal(chunks.map((chunk) => chunk.message.content).join(''), answer)
  assert.equal(chunks.length, 17)
  assert.equal(chunks.at(-1).eval_count, 16)
})

test('generate', async () => {
  const options = { num_predict: 2 }
  const whole = await ollama.generate({ model: 'm', prompt, options })
  assert.deepEqual([whole.response, whole.done_reason], ['why is', 'length'])
  const chunks = await all(await ollama.generate({ model: 'm', prompt, stream: true }))
  assert.equal(chunks.map((chunk) => chunk.response).join(''), answer)
})

test('embed', async () => {
  const one = await ollama.embed({ model: 'm', input: 'a' })
  const two = await ollama.embed({ model: 'm', input: ['a', 'b'] })
  assert.equal(two.embeddings.length, 2)
  assert.deepEqual(two.embeddings[0], one.embeddings[0])
  const old = await ollama.embeddings({ model: 'm', prompt: 'a' })
  assert.deepEqual(old.embedding, one.embeddings[0])
})

test('tools', async () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }]
  await script({ tool_calls: [{ name: 'f', arguments: { city: 'Paris' } }] })
  const { message } = await ollama.chat({ model: 'm', messages, tools })
  assert.equal(message.tool_calls[0].function.name, 'f')
  assert.deepEqual(message.tool_calls[0].function.arguments, { city: 'Paris' })
  assert.equal((await lastBody()).tools.length, 1)
})

test('structured output', async () => {
  const format = { type: 'object', properties: { name: { type: 'string' } } }
  const whole = await ollama.chat({ model: 'm', messages, format })
  assert.deepEqual(JSON.parse(whole.message.content), { name: answer })
})

test('images', async () => {
  const picture = new TextEncoder().encode('a picture of the sky')
  const encoded = Buffer.from(picture).toString('base64')
  await ollama.chat({ model: 'm', messages: [{ role: 'user', content: 'x', images: [picture] }] })
  assert.ok((await asked()).at(-1).body.includes(encoded))
})

for (const think of [true, 'low']) {
  test(`think ${think}`, async () => {
    await script({ thinking: 'let me see', text: 'blue' })
    const chunks = await all(await ollama.chat({ model: 'm', messages, think, stream: true }))
    assert.equal(chunks.map((chunk) => chunk.message.thinking ?? '').join(''), 'let me see')
    assert.equal(chunks.map((chunk) => chunk.message.content).join(''), 'blue')
  })
}

test('list, ps, show, version', async () => {
  assert.deepEqual((await ollama.list()).models.map((model) => model.name), ['m:latest'])
  assert.equal((await ollama.ps()).models.length, 1)
  assert.ok((await ollama.show({ model: 'm' })).capabilities.includes('completion'))
  assert.ok((await ollama.version()).version)
})

for (const stream of [false, true]) {
  test(`an unknown model, stream ${stream}`, async () => {
    await assert.rejects(ollama.chat({ model: 'x', messages, stream }), {
      name: 'ResponseError',
      status_code: 404,
      error: 'model "x" not found, try pulling it first',
    })
  })

  test(`a refusal, stream ${stream}`, async () => {
    await script({ status: 503, error: 'these very words' })
    const refused = { status_code: 503, error: 'these very words' }
    await assert.rejects(ollama.generate({ model: 'm', prompt, stream }), refused)
  })
}

test('a bad request', async () => {
  const refused = { name: 'ResponseError', status_code: 400 }
  await assert.rejects(ollama.generate({ model: 'm', prompt: 5 }), refused)
})

test('an error in mid-stream', async () => {
  await script({ fault: 'error', at: 2, error: 'out of memory' })
  const chunks = await ollama.chat({ model: 'm', messages, stream: true })
  const said = []
  const reading = (async () => {
    for await (const chunk of chunks) said.push(chunk.message.content)
  })()
  await assert.rejects(reading, /out of memory/)
  assert.equal(said.join(''), 'why is')
})

test('aborting a stream stops the model', async () => {
  await script({ fault: 'hang', at: 2 })
  const chunks = await ollama.chat({ model: 'm', messages, stream: true })
  const reading = (async () => {
    for await (const chunk of chunks) if (!chunk.done) chunks.abort()
  })()
  await assert.rejects(reading, { name: 'AbortError' })
  await hungUp()
})

test('aborting everything stops the model', async () => {
  await script({ fault: 'hang', at: 2 })
  const chunks = await ollama.generate({ model: 'm', prompt, stream: true })
  const reading = all(chunks)
  ollama.abort()
  await assert.rejects(reading, { name: 'AbortError' })
  await hungUp()
})

// The official `openai` package for JavaScript, unmodified; see ollama.test.js.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import OpenAI from 'openai'

const { CLIENT_URL, MACHINE_URL } = process.env
const client = new OpenAI({ baseURL: `${CLIENT_URL}/v1`, apiKey: 'any', maxRetries: 0 })
const content = 'why is the sky blue'
const messages = [{ role: 'user', content }]
const words = content.split(' ')
const answer = Array.from({ length: 16 }, (_, n) => words[n % words.length]).join(' ')

async function script(...scripts) {
  const body = JSON.stringify(scripts)
  await fetch(`${MACHINE_URL}/simulator/script`, { method: 'POST', body })
}

async function all(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

test('chat', async () => {
  const whole = await client.chat.completions.create({ model: 'm', messages })
  assert.equal(whole.choices[0].message.content, answer)
  assert.equal(whole.usage.completion_tokens, 16)
})

test('chat, streaming', async () => {
  const asked = { model: 'm', messages, stream: true, stream_options: { include_usage: true } }
  const chunks = await all(await client.chat.completions.create(asked))
  const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
  assert.equal(said, answer)
  assert.equal(chunks.at(-1).usage.completion_tokens, 16)
})

test('embeddings and models', async () => {
  const vectors = await client.embeddings.create({ model: 'm', input: ['a', 'b'] })
  assert.equal(vectors.data[1].embedding.length, 8)
  assert.deepEqual((await client.models.list()).data.map((model) => model.id), ['m:latest'])
})

test('errors', async () => {
  const unknown = { model: 'x', messages }
  await assert.rejects(client.chat.completions.create(unknown), { name: 'Error', status: 404 })
  await script({ fault: 'error', at: 2, error: 'out of memory' })
  const chunks = await client.chat.completions.create({ model: 'm', messages, stream: true })
  await assert.rejects(all(chunks), /out of memory/)
})

test('aborting a stream stops the model', async () => {
  await script({ fault: 'hang', at: 2 })
  const chunks = await client.chat.completions.create({ model: 'm', messages, stream: true })
  for await (const chunk of chunks) if (chunk) chunks.controller.abort()
  for (let tries = 0; tries < 1000; tries++) {
    const calls = await (await fetch(`${MACHINE_URL}/simulator/requests`)).json()
    if (calls.filter((call) => call.method === 'POST').at(-1).hung_up_at != null) return
    await after(20)
  }
  assert.fail('the model goes on')
})

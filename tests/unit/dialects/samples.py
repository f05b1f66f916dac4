"""An example of each endpoint of each dialect: what is asked, and how a server answers."""

from __future__ import annotations

from typing import NamedTuple

from oq.words.task import Usage


class Sample(NamedTuple):
    """`body` is what oq reads of it, and `asks` the field by which it asks for a stream. `answer`
    is the streamed answer, frame by frame, which says `text`; of an endpoint that never streams it
    is the whole one.
    """

    path: str
    body: bytes
    answer: list[bytes]
    text: str
    usage: Usage | None
    asks: bytes = b'"stream": true'


def events(*data: bytes) -> list[bytes]:
    return [b"data: %b\n\n" % each for each in (*data, b"[DONE]")]


SAMPLES = [
    Sample(
        "/api/chat",
        b'{"model": "m", "messages": [{"role": "user", "content": "?"}]}',
        [
            b'{"model":"m","message":{"role":"assistant","content":"Pa"},"done":false}\n',
            b'{"model":"m","message":{"role":"assistant","content":"ris"},"done":false}\n',
            b'{"model":"m","message":{"role":"assistant","content":""},"done":true,'
            b'"prompt_eval_count":3,"eval_count":2}\n',
        ],
        "Paris",
        Usage(3, 2),
    ),
    Sample(
        "/api/generate",
        b'{"model": "m", "prompt": "?"}',
        [
            b'{"model":"m","response":"Pa","done":false}\r\n',
            b'{"model":"m","response":"ris","done":false}\r\n',
            b'{"model":"m","response":"","done":true,"eval_count":2}\r\n',
        ],
        "Paris",
        Usage(0, 2),
    ),
    Sample(
        "/api/embed",
        b'{"model": "m", "input": "?"}',
        [b'{"model":"m","embeddings":[[1e-05, 0.10]],"prompt_eval_count":3}'],
        "",
        Usage(3, 0),
    ),
    Sample(
        "/api/embeddings",
        b'{"model": "m", "prompt": "?"}',
        [b'{"embedding":[1e-05, 0.10]}'],
        "",
        None,
    ),
    *[
        Sample(
            path,
            b'{"model": "m", "messages": [{"role": "user", "content": "?"}]}',
            [
                b": are you there?\n\n",
                *events(
                    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"Pa"}}]}',
                    b'{"choices":[{"index":0,"delta":{"content":"ris"},"finish_reason":"stop"}]}',
                    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
                ),
            ],
            "Paris",
            Usage(3, 2),
        )
        for path in ("/v1/chat/completions", "/chat/completions")
    ],
    Sample(
        "/v1/completions",
        b'{"model": "m", "prompt": "?"}',
        events(
            b'{"choices":[{"index":0,"text":"Pa"}]}',
            b'{"choices":[{"index":0,"text":"ris","finish_reason":"stop"}]}',
        ),
        "Paris",
        Usage(0, 2),  # a chunk counts as a token where the server does not count
    ),
    Sample(
        "/v1/embeddings",
        b'{"model": "m", "input": "?"}',
        [b'{"data":[{"index":0,"embedding":[1e-05, 0.10]}],"usage":{"prompt_tokens":3}}'],
        "",
        Usage(3, 0),
    ),
]
SAMPLES += [
    Sample(
        "/v1/responses",
        b'{"model": "m", "input": "?"}',
        [
            b'event: response.created\ndata: {"type":"response.created","sequence_number":0,'
            b'"response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}\n\n',
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
            b'"sequence_number":1,"output_index":0,"content_index":0,"delta":"Pa"}\n\n',
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
            b'"sequence_number":2,"output_index":0,"content_index":0,"delta":"ris"}\n\n',
            b'event: response.completed\ndata: {"type":"response.completed","sequence_number":3,'
            b'"response":{"id":"resp_1","object":"response","status":"completed","error":null,'
            b'"output":[{"type":"message","content":[{"type":"output_text","text":"Paris"}]}],'
            b'"usage":{"input_tokens":3,"output_tokens":2}}}\n\n',
        ],
        "Paris",
        Usage(3, 2),
    ),
    Sample(
        "/v1/messages",
        b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}',
        [
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1",'
            b'"type":"message","role":"assistant","content":[],"usage":{"input_tokens":3}}}\n\n',
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
            b'"content_block":{"type":"text","text":""}}\n\n',
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"Pa"}}\n\n',
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"ris"}}\n\n',
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":'
            b'"end_turn"},"usage":{"output_tokens":2}}\n\n',
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        ],
        "Paris",
        Usage(3, 2),
    ),
]


def datas(*data: bytes) -> list[bytes]:
    """Events without a last one that says so: the end of the body ends the answer."""
    return [b"data: %b\n\n" % each for each in data]


_IMAGE = b'{"type":"image_generation.%b","b64_json":"aW1n","created_at":1%b}'
_HEARD = [
    *datas(
        b'{"type":"transcript.text.delta","delta":"Pa"}',
        b'{"type":"transcript.text.delta","delta":"ris"}',
        b'{"type":"transcript.text.done","text":"Paris","usage":{"type":"tokens",'
        b'"input_tokens":3,"output_tokens":2}}',
    )
]
_COUNTED = b',"usage":{"input_tokens":3,"output_tokens":2}'
SAMPLES += [
    *[
        Sample(
            path,
            b'{"model": "m", "prompt": "?"}',
            datas(_IMAGE % (b"partial_image", b""), _IMAGE % (b"completed", _COUNTED)),
            "",
            Usage(3, 2),
        )
        for path in ("/v1/images/generations", "/v1/images/edits")
    ],
    Sample(
        "/v1/audio/speech",
        b'{"model": "m", "input": "?"}',
        datas(
            b'{"type":"speech.audio.delta","audio":"c28="}',
            b'{"type":"speech.audio.delta","audio":"dW5k"}',
            b'{"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":2}}',
        ),
        "",
        Usage(3, 2),
        asks=b'"stream_format": "sse"',
    ),
    *[
        Sample(path, b'{"model": "m", "file": {"filename": "a.wav"}}', _HEARD, "Paris", Usage(3, 2))
        for path in ("/v1/audio/transcriptions", "/v1/audio/translations")
    ],
    Sample(
        "/v1/moderations",
        b'{"model": "m", "input": "?"}',
        [b'{"id":"modr-1","model":"m","results":[{"flagged":false}]}'],
        "",
        None,
    ),
    *[
        Sample(
            path,
            b'{"model": "m", "query": "?", "documents": ["a", "b"]}',
            [
                b'{"model":"m","results":[{"index":1,"relevance_score":1e-05}],'
                b'"usage":{"prompt_tokens":3,"total_tokens":3}}'
            ],
            "",
            Usage(3, 0),
        )
        for path in ("/v1/rerank", "/v1/reranking", "/rerank", "/reranking")
    ],
    *[
        Sample(
            path,
            b'{"model": "m", "prompt": "?"}',
            datas(
                b'{"index":0,"content":"Pa","tokens":[],"stop":false}',
                b'{"index":0,"content":"ris","tokens":[],"stop":false}',
                b'{"index":0,"content":"","tokens":[],"stop":true,"tokens_predicted":2,'
                b'"tokens_evaluated":3}',
            ),
            "Paris",
            Usage(3, 2),
        )
        for path in ("/completion", "/completions", "/infill")
    ],
    *[
        Sample(
            path,
            b'{"model": "m", "input": ["?"]}',
            [b'[{"index":0,"embedding":[[1e-05, 0.10]]}]'],
            "",
            None,
        )
        for path in ("/embedding", "/embeddings")
    ],
]

// OpenAI's client for JavaScript.

import OpenAI from "openai"
import { all, expect, fails, FIRST, KEY, NEXT, QUESTION, run, said, SECOND, URL } from "./checks.mjs"

const client = new OpenAI({ baseURL: URL, apiKey: KEY })
const ask = (texts, { model = "chatbot", ...more } = {}) =>
  client.chat.completions.create({ model, messages: said(...texts), ...more })
const text = (answer) => answer.choices[0].message.content
const streamed = async (stream) => (await all(stream)).map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("")

await run({
  "lists models": async () => {
    expect((await all(client.models.list())).map((model) => model.id), "chatbot", "workflow")
    expect((await client.models.retrieve("chatbot")).id, "chatbot")
  },
  asks: async () => {
    const answer = await ask([QUESTION])
    expect(text(answer), QUESTION, FIRST)
    expect(answer.usage.total_tokens > 0, "true")
  },
  streams: async () => expect(await streamed(await ask([QUESTION], { stream: true })), QUESTION, FIRST),
  "streams with its helper": async () => {
    const stream = client.chat.completions.stream({
      model: "chatbot",
      messages: said(QUESTION),
      stream_options: { include_usage: true },
    })
    expect(await stream.finalContent(), QUESTION, FIRST)
    expect((await stream.totalUsage()).total_tokens > 0, "true")
  },
  "takes two turns": async () => {
    const first = text(await ask([QUESTION]))
    expect(text(await ask([QUESTION, first, NEXT])), NEXT, SECOND)
  },
  "takes two turns in streams": async () => {
    const first = await streamed(await ask([NEXT], { stream: true }))
    expect(await streamed(await ask([NEXT, first, QUESTION], { stream: true })), QUESTION, SECOND)
  },
  "uses Responses": async () => {
    const first = await client.responses.create({ model: "chatbot", input: QUESTION })
    expect(first.output_text, QUESTION, FIRST)
    const stream = client.responses.stream({ model: "chatbot", input: NEXT, previous_response_id: first.id })
    expect((await stream.finalResponse()).output_text, NEXT, SECOND)
    const events = await all(await client.responses.create({ model: "chatbot", input: QUESTION, stream: true }))
    const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta)
    expect(deltas.join(""), QUESTION, FIRST)
  },
  "throws when a run fails": async () => {
    const error = await fails(() => ask([QUESTION], { model: "fails-early" }), "not initialized")
    if (!(error instanceof OpenAI.InternalServerError)) throw error
  },
  "throws when a stream fails": async () => {
    const error = await fails(
      async () => all(await ask([QUESTION], { model: "fails-midway", stream: true })),
      "too many requests",
    )
    if (!(error instanceof OpenAI.APIError)) throw error
  },
  "is told of a response that fails": async () => {
    const events = await all(await client.responses.create({ model: "fails-midway", input: QUESTION, stream: true }))
    expect(events.at(-1).type, "response.failed")
    expect(events.at(-1).response.error.message, "too many requests")
  },
  "throws for a wrong key": async () => {
    const error = await fails(() => client.withOptions({ apiKey: "a-wrong-key" }).models.list(), "401")
    if (!(error instanceof OpenAI.AuthenticationError)) throw error
  },
})

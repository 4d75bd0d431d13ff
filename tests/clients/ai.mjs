// The AI SDK, with its providers for OpenAI's API, for what is compatible with it, and for Anthropic's API.

import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText, streamText } from "ai"
import { all, expect, fails, FIRST, KEY, NEXT, QUESTION, run, said, SECOND, URL } from "./checks.mjs"

const openai = createOpenAI({ baseURL: URL, apiKey: KEY })
const providers = {
  compatible: createOpenAICompatible({ name: "duck", baseURL: URL, apiKey: KEY, includeUsage: true }),
  chat: openai.chat,
  responses: openai.responses,
  anthropic: createAnthropic({ baseURL: URL, apiKey: KEY }),
}

globalThis.AI_SDK_LOG_WARNINGS = false // it warns of models that it does not know
// It does not read X-Should-Retry, and would start a run that fails three times.
const ONCE = { maxRetries: 0 }

/** Streams, and throws what the stream tells of an error. */
async function streamed(options) {
  const parts = await all(streamText({ ...options, onError: () => {} }).fullStream)
  const failed = parts.find((part) => part.type === "error")
  if (failed) throw failed.error instanceof Error ? failed.error : new Error(JSON.stringify(failed.error))
  return parts.filter((part) => part.type === "text-delta").map((part) => part.text).join("")
}

const checks = Object.entries(providers).map(([name, provider]) => ({
  [`${name}: asks`]: async () => {
    const answer = await generateText({ model: provider("chatbot"), prompt: QUESTION })
    expect(answer.text, QUESTION, FIRST)
    expect(answer.usage.totalTokens > 0, "true")
  },
  [`${name}: streams`]: async () => {
    expect(await streamed({ model: provider("chatbot"), prompt: QUESTION }), QUESTION, FIRST)
  },
  [`${name}: takes two turns`]: async () => {
    const question = `${QUESTION} (${name})`
    const first = await generateText({ model: provider("chatbot"), messages: said(question) })
    const messages = [...said(question), ...first.responseMessages ?? first.response.messages, ...said(NEXT)]
    expect((await generateText({ model: provider("chatbot"), messages })).text, NEXT, SECOND)
  },
  [`${name}: throws when a run fails`]: () =>
    fails(() => generateText({ model: provider("fails-early"), prompt: QUESTION, ...ONCE }), "not initialized"),
  [`${name}: tells of a stream that fails`]: () =>
    fails(() => streamed({ model: provider("fails-midway"), prompt: QUESTION }), "too many requests"),
}))

await run(Object.assign({}, ...checks))

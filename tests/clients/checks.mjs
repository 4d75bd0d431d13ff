// Checks of one client, each a function.

export const URL = process.env.OPENAI_BASE_URL
export const KEY = process.env.OPENAI_API_KEY
export const QUESTION = "What is a duck?"
export const NEXT = "And a goose?"
// In the answers of the app `chatbot`.
export const FIRST = "This was turn 1"
export const SECOND = "This was turn 2"

/** The messages of a chat: the user's and the assistant's in turn. */
export const said = (...texts) => texts.map((content, number) => ({ role: ["user", "assistant"][number % 2], content }))

/** Throws if a part is not in the text. */
export function expect(text, ...parts) {
  for (const part of parts) {
    if (!String(text).includes(part)) throw new Error(`no ${JSON.stringify(part)} in ${JSON.stringify(text)}`)
  }
}

/** Throws unless `act` throws an error with these words. Returns the error. */
export async function fails(act, words) {
  let result
  try {
    result = await act()
  } catch (error) {
    expect(error.message, words)
    return error
  }
  throw new Error(`no error, but ${JSON.stringify(result)}`)
}

/** The items of an async iterable. */
export async function all(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

/** Runs the checks, and prints a line for each. Exits with status 1 if one has failed. */
export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check()
      console.log(`ok      ${name}`)
    } catch (error) {
      console.log(`FAILED  ${name}: ${error.name}: ${String(error.message).slice(0, 500)}`)
      process.exitCode = 1
    }
  }
}

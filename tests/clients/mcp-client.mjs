// MCP's client for JavaScript. It speaks the protocol of 2026 if it is told to, else that of 2025.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { runChecks, server } from "./mcp.mjs"

const [mode] = process.argv.slice(2)

async function connect(path, key) {
  const client = new Client({ name: "checks", version: "1" }, { versionNegotiation: { mode } })
  const { url, options } = server(path, key)
  await client.connect(new StreamableHTTPClientTransport(url, options))
  return client
}

await runChecks(connect, (client, name, args, options) => client.callTool({ name, arguments: args }, options))

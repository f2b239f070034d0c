// One exchange by a real SDK in Node: sdk.mjs openai|anthropic plain|stream [RETRIES]. Standard input is the call's arguments,
// SALLYPORT_TEST_NPM the folder that holds node_modules. Prints one JSON object: the text and the tool calls that came back, how
// often was asked, and for a stream how many pieces it came in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.SALLYPORT_TEST_NPM}/package.json`);
const [vendor, mode, retries] = process.argv.slice(2);
const given = JSON.parse(readFileSync(0, 'utf8'));
let attempts = 0;

function client() {
  const sdk = require(vendor === 'openai' ? 'openai' : '@anthropic-ai/sdk');
  const Made = sdk.default ?? sdk;
  const counted = (...request) => {
    attempts += 1;
    return fetch(...request);
  };
  return new Made({ maxRetries: Number(retries ?? 0), fetch: counted });
}

const ways = {
  async openai_plain(c) {
    const { message } = (await c.chat.completions.create(given)).choices[0];
    const calls = (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    return { text: message.content ?? '', calls, pieces: 1 };
  },
  async openai_stream(c) {
    let text = '';
    let pieces = 0;
    const calls = new Map();
    for await (const chunk of await c.chat.completions.create({ ...given, stream: true })) {
      pieces += 1;
      for (const { delta } of chunk.choices) {
        text += delta.content ?? '';
        for (const call of delta.tool_calls ?? []) {
          const known = calls.get(call.index) ?? ['', ''];
          known[0] += call.function?.name ?? '';
          known[1] += call.function?.arguments ?? '';
          calls.set(call.index, known);
        }
      }
    }
    return { text, calls: [...calls.values()].map(([name, words]) => [name, JSON.parse(words)]), pieces };
  },
  async anthropic_plain(c) {
    return said(await c.messages.create(given), 1);
  },
  async anthropic_stream(c) {
    const stream = c.messages.stream(given);
    let pieces = 0;
    for await (const _ of stream) pieces += 1;
    return said(await stream.finalMessage(), pieces);
  },
};

function said(message, pieces) {
  const of = (type) => message.content.filter((block) => block.type === type);
  return {
    text: of('text').map((block) => block.text).join(''),
    calls: of('tool_use').map((block) => [block.name, block.input]),
    pieces,
  };
}

let answer;
try {
  answer = await ways[`${vendor}_${mode}`](client());
} catch (error) {
  if (error.status === undefined) throw error;
  answer = { status: error.status, error: error.message };
}
process.stdout.write(JSON.stringify({ ...answer, attempts }));

"""One exchange by a real SDK: sdk.py openai|anthropic plain|stream [RETRIES]. Standard input is the call's keyword arguments.

Prints one JSON object: the body that was sent (base64), the text and the tool calls that came back, and for a stream
how many pieces it came in.
"""
import base64
import json
import sys

vendor, mode = sys.argv[1:3]
retries = int(sys.argv[3]) if len(sys.argv) > 3 else 0
arguments = json.load(sys.stdin)
stream = mode == "stream"
sent = []


def client():
    if vendor == "openai":
        import openai
        made = openai.OpenAI(max_retries=retries)
    else:
        import anthropic
        made = anthropic.Anthropic(max_retries=retries)
    # The SDK keeps its own HTTP client; only what leaves it is noted.
    made._client.event_hooks = {"request": [lambda request: sent.append(request.read())]}
    return made


def openai_plain(c):
    message = c.chat.completions.create(**arguments).choices[0].message
    calls = [(t.function.name, json.loads(t.function.arguments)) for t in message.tool_calls or []]
    return message.content or "", calls, 1


def openai_stream(c):
    text, calls, pieces = "", {}, 0
    for chunk in c.chat.completions.create(stream=True, **arguments):
        pieces += 1
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    return text, [(name, json.loads(given)) for name, given in calls.values()], pieces


def from_message(message, pieces):
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    return text, calls, pieces


def anthropic_plain(c):
    return from_message(c.messages.create(**arguments), 1)


def anthropic_stream(c):
    with c.messages.stream(**arguments) as events:
        pieces = sum(1 for _ in events)
        return from_message(events.get_final_message(), pieces)


try:
    text, calls, pieces = globals()[f"{vendor}_{mode}"](client())
    answer = {"text": text, "calls": calls, "pieces": pieces}
except Exception as e:
    if not hasattr(e, "status_code"):
        raise
    answer = {"status": e.status_code, "error": str(e)}
answer["sent"] = [base64.b64encode(body).decode() for body in sent]
json.dump(answer, sys.stdout)

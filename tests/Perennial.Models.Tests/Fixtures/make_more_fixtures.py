"""Writes further checkpoint folders beside this file, with reference values: long texts, other storage, rarer settings.

An independent oracle: it shares no code, no language and no number format with Perennial. Plain Python in double precision,
written from the formulas of Hugging Face's modeling_llama, modeling_qwen2 and modeling_gpt2, with its own safetensors
writer. Needs nothing but Python 3:  python3 make_more_fixtures.py
"""
import json, math, os, random, struct
from operator import mul

HERE = os.path.dirname(os.path.abspath(__file__))


def to_f32(x): return struct.unpack("<f", struct.pack("<f", x))[0]


def bf16_bits(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def rounded(x, dtype):
    if dtype == "BF16": return struct.unpack("<f", struct.pack("<I", bf16_bits(x) << 16))[0]
    if dtype == "F16": return struct.unpack("<e", struct.pack("<e", x))[0]
    return to_f32(x)


def pack(values, dtype):
    if dtype == "BF16": return b"".join(struct.pack("<H", bf16_bits(v)) for v in values)
    return struct.pack(f"<{len(values)}{'e' if dtype == 'F16' else 'f'}", *values)


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, values) in tensors.items():
        raw = pack(values, dtype)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file: file.write(struct.pack("<Q", len(text)) + text + data)


# ---- arithmetic on lists -------------------------------------------------------------------------------------------
def dot(a, b): return sum(map(mul, a, b))
def add(a, b): return [x + y for x, y in zip(a, b)]
def rows(tensor): shape, v = tensor; return [v[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]
def linear(x, w, b=None): y = [[dot(r, o) for o in w] for r in x]; return [add(r, b) for r in y] if b else y
def columns(w): return [list(c) for c in zip(*w)]


def softmax(v):
    m = max(v); e = [math.exp(x - m) for x in v]; s = sum(e)
    return [x / s for x in e]


def rms_norm(x, w, eps): return [[a / math.sqrt(dot(r, r) / len(r) + eps) * g for a, g in zip(r, w)] for r in x]


def layer_norm(x, w, b, eps):
    out = []
    for r in x:
        m = sum(r) / len(r); v = sum((a - m) ** 2 for a in r) / len(r)
        out.append([(a - m) / math.sqrt(v + eps) * g + c for a, g, c in zip(r, w, b)])
    return out


def rotate(h, position, theta):
    half, out = len(h) // 2, list(h)
    for i in range(half):
        angle = position * theta ** (-2 * i / len(h)); c, s = math.cos(angle), math.sin(angle)
        out[i], out[i + half] = h[i] * c - h[i + half] * s, h[i + half] * c + h[i] * s
    return out


def attention(q, k, v, heads, key_heads, width, theta):
    out = [[] for _ in q]
    for head in range(heads):
        at, kv = head * width, head * key_heads // heads * width
        qs = [r[at:at + width] for r in q]; ks = [r[kv:kv + width] for r in k]; vs = columns([r[kv:kv + width] for r in v])
        if theta: qs = [rotate(h, t, theta) for t, h in enumerate(qs)]; ks = [rotate(h, t, theta) for t, h in enumerate(ks)]
        for t, one in enumerate(qs):
            p = softmax([dot(one, ks[j]) / math.sqrt(width) for j in range(t + 1)])
            out[t] += [dot(p, c[:t + 1]) for c in vs]
    return out


def silu(x): return x / (1 + math.exp(-x))
def gelu_new(x): return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
def gelu(x): return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


# ---- models: tensors under their full names, [shape, values] -------------------------------------------------------
def llama_shapes(c):
    d, f, hd = c["hidden_size"], c["intermediate_size"], c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    q, k = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    yield "model.embed_tokens.weight", [c["vocab_size"], d]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", [d]
        for name, out in (("q", q), ("k", k), ("v", k)):
            yield p + f"self_attn.{name}_proj.weight", [out, d]
            if c["model_type"] == "qwen2": yield p + f"self_attn.{name}_proj.bias", [out]
        yield p + "self_attn.o_proj.weight", [d, q]
        yield p + "post_attention_layernorm.weight", [d]
        yield p + "mlp.gate_proj.weight", [f, d]
        yield p + "mlp.up_proj.weight", [f, d]
        yield p + "mlp.down_proj.weight", [d, f]
    yield "model.norm.weight", [d]
    if not c["tie_word_embeddings"]: yield "lm_head.weight", [c["vocab_size"], d]


def llama_logits(c, w, ids):
    eps, heads, keys = c["rms_norm_eps"], c["num_attention_heads"], c["num_key_value_heads"]
    hd = c.get("head_dim") or c["hidden_size"] // heads
    theta = c["rope_parameters"]["rope_theta"] if "rope_parameters" in c else c.get("rope_theta", 10000.0)
    table = rows(w["model.embed_tokens.weight"]); x = [table[i] for i in ids]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = rms_norm(x, w[p + "input_layernorm.weight"][1], eps)
        q, k, v = (linear(h, rows(w[p + f"self_attn.{n}_proj.weight"]), w.get(p + f"self_attn.{n}_proj.bias", (0, None))[1]) for n in "qkv")
        a = linear(attention(q, k, v, heads, keys, hd, theta), rows(w[p + "self_attn.o_proj.weight"]))
        x = [add(r, s) for r, s in zip(x, a)]
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"][1], eps)
        g, u = linear(h, rows(w[p + "mlp.gate_proj.weight"])), linear(h, rows(w[p + "mlp.up_proj.weight"]))
        m = linear([[silu(a) * b for a, b in zip(r, s)] for r, s in zip(g, u)], rows(w[p + "mlp.down_proj.weight"]))
        x = [add(r, s) for r, s in zip(x, m)]
    x = rms_norm(x, w["model.norm.weight"][1], eps)
    return linear(x, table if c["tie_word_embeddings"] else rows(w["lm_head.weight"]))


def gpt2_shapes(c):
    d, f = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
    yield "transformer.wte.weight", [c["vocab_size"], d]
    yield "transformer.wpe.weight", [c["n_positions"], d]
    for i in range(c["n_layer"]):
        p = f"transformer.h.{i}."
        for norm in ("ln_1", "ln_2"):
            yield p + norm + ".weight", [d]; yield p + norm + ".bias", [d]
        for name, a, b in (("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, f), ("mlp.c_proj", f, d)):
            yield p + name + ".weight", [a, b]; yield p + name + ".bias", [b]
    yield "transformer.ln_f.weight", [d]
    yield "transformer.ln_f.bias", [d]


def gpt2_logits(c, w, ids):
    eps, heads, d = c["layer_norm_epsilon"], c["n_head"], c["n_embd"]
    activation = gelu if c["activation_function"] == "gelu" else gelu_new
    table, places = rows(w["transformer.wte.weight"]), rows(w["transformer.wpe.weight"])
    x = [add(table[i], places[t]) for t, i in enumerate(ids)]
    conv = lambda h, name: linear(h, columns(rows(w[name + ".weight"])), w[name + ".bias"][1])
    norm = lambda h, name: layer_norm(h, w[name + ".weight"][1], w[name + ".bias"][1], eps)
    for i in range(c["n_layer"]):
        p = f"transformer.h.{i}."
        qkv = conv(norm(x, p + "ln_1"), p + "attn.c_attn")
        q, k, v = ([r[j * d:(j + 1) * d] for r in qkv] for j in range(3))
        x = [add(r, s) for r, s in zip(x, conv(attention(q, k, v, heads, heads, d // heads, None), p + "attn.c_proj"))]
        h = [[activation(a) for a in r] for r in conv(norm(x, p + "ln_2"), p + "mlp.c_fc")]
        x = [add(r, s) for r, s in zip(x, conv(h, p + "mlp.c_proj"))]
    return linear(norm(x, "transformer.ln_f"), table)


# ---- folders -------------------------------------------------------------------------------------------------------
LLAMA = dict(model_type="llama", architectures=["LlamaForCausalLM"], hidden_act="silu", vocab_size=97, num_hidden_layers=2,
             max_position_embeddings=256, rms_norm_eps=1e-5, initializer_range=0.02, bos_token_id=1, eos_token_id=[2, 3])
GPT2 = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], vocab_size=97, n_layer=2, n_positions=40, n_ctx=40,
            layer_norm_epsilon=1e-5, initializer_range=0.02, bos_token_id=0, eos_token_id=0, attn_pdrop=0.1,
            task_specific_params={"text-generation": {"do_sample": True}})
FOLDERS = [
    # name, config, storage, shards, length, tensor-name edits
    ("llama-rope-parameters", {**LLAMA, "hidden_size": 36, "intermediate_size": 50, "num_attention_heads": 3, "num_key_value_heads": 1,
                   "tie_word_embeddings": False, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}, "F32", 1, 60, None),
    ("llama-long", {**LLAMA, "hidden_size": 64, "intermediate_size": 88, "num_attention_heads": 4, "num_key_value_heads": 2,
                       "tie_word_embeddings": True, "rope_theta": 500000.0, "rope_scaling": None}, "F32", 3, 200, None),
    ("llama-head-dim", {**LLAMA, "hidden_size": 40, "intermediate_size": 56, "num_attention_heads": 2, "num_key_value_heads": 1,
                        "head_dim": 32, "tie_word_embeddings": False}, "F32", 1, 60, "bare"),
    ("gpt2-repeated-head", {**GPT2, "n_embd": 32, "n_head": 2, "n_inner": None, "activation_function": "gelu_new"}, "F32", 1, 40, "buffers"),
    ("gpt2-exact", {**GPT2, "n_embd": 36, "n_head": 3, "n_inner": 50, "activation_function": "gelu", "tie_word_embeddings": True}, "F16", 2, 40, "bare"),
]


def make(name, config, dtype, shards, length, edit, seed):
    draw = random.Random(seed)
    shapes, logits_of = (gpt2_shapes, gpt2_logits) if config["model_type"] == "gpt2" else (llama_shapes, llama_logits)
    weights = {}
    for tensor, shape in shapes(config):
        scale, mean = (0.15, 0.0) if len(shape) > 1 else (0.3, 0.0 if tensor.endswith("bias") else 1.0)
        weights[tensor] = (shape, [rounded(mean + scale * draw.gauss(0, 1), dtype) for _ in range(math.prod(shape))])
    ids = [draw.randrange(config["vocab_size"]) for _ in range(length)]
    scores = [None]
    for row, target in zip(logits_of(config, weights, ids), ids[1:]):
        m = max(row); scores.append(row[target] - m - math.log(sum(math.exp(v - m) for v in row)))
    text = ids[:6]
    for _ in range(16):
        row = logits_of(config, weights, text)[-1]; text = text + [row.index(max(row))]

    folder = os.path.join(HERE, name); os.makedirs(folder, exist_ok=True)
    stored = {t: (dtype, s, v) for t, (s, v) in weights.items()}
    if edit == "bare": stored = {t.removeprefix("model.").removeprefix("transformer."): x for t, x in stored.items()}
    if edit == "buffers":  # what old GPT-2 files carry besides parameters: the causal mask, and the head a second time
        n = config["n_positions"]
        for i in range(config["n_layer"]):
            stored[f"transformer.h.{i}.attn.bias"] = ("F32", [1, 1, n, n], [float(k <= q) for q in range(n) for k in range(n)])
            stored[f"transformer.h.{i}.attn.masked_bias"] = ("F32", [], [-10000.0])
        stored["lm_head.weight"] = stored["transformer.wte.weight"]
    if shards == 1: write_safetensors(f"{folder}/model.safetensors", stored)
    else:
        weight_map, names = {}, list(stored)
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"; part = names[i::shards]
            write_safetensors(f"{folder}/{file}", {t: stored[t] for t in part}); weight_map.update(dict.fromkeys(part, file))
        total = sum(len(pack(v, d)) for d, _, v in stored.values())
        with open(f"{folder}/model.safetensors.index.json", "w") as file: json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, file, indent=1)
    with open(f"{folder}/config.json", "w") as file: json.dump(config, file, indent=1)
    with open(f"{folder}/reference.json", "w") as file:
        json.dump({"ids": ids, "log_probabilities": scores, "prompt": ids[:6], "greedy": text[6:]}, file)


if __name__ == "__main__":
    for number, folder in enumerate(FOLDERS): make(*folder, seed=number + 1)

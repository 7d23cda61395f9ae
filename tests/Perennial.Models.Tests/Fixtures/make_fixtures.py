#!/usr/bin/env python3
"""Makes small Hugging Face folders and reference log-probabilities, independently of Perennial: plain Python floats (float64),
written from the published definitions of Llama, Qwen2 and GPT-2. No package is needed:  python3 make_fixtures.py"""
import json, math, os, random, struct

HERE = os.path.dirname(os.path.abspath(__file__))
V, T = 272, 24


def save(folder, config, tensors, shards=1, dtype="F32"):
    os.makedirs(folder, exist_ok=True)
    json.dump(config, open(f"{folder}/config.json", "w"), indent=1)
    names = list(tensors)
    groups = [names[i::shards] for i in range(shards)]
    where = {}
    for i, group in enumerate(groups):
        file = "model.safetensors" if shards == 1 else f"model-{i + 1:05}-of-{shards:05}.safetensors"
        header, blob = {"__metadata__": {"format": "pt"}}, b""
        for name in group:
            shape, values = tensors[name]
            data = struct.pack(f"<{len(values)}f", *values)
            if dtype == "BF16":
                data = b"".join(data[j + 2:j + 4] for j in range(0, len(data), 4))
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(blob), len(blob) + len(data)]}
            blob += data
            where[name] = file
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        open(f"{folder}/{file}", "wb").write(struct.pack("<Q", len(text)) + text + blob)
    if shards > 1:
        json.dump({"metadata": {}, "weight_map": where}, open(f"{folder}/model.safetensors.index.json", "w"))


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bf16(x):  # truncation gives values that bfloat16 holds exactly
    return struct.unpack("<f", b"\0\0" + struct.pack("<f", x)[2:])[0]


def mat(x, w, out, inp, bias=None, conv=False):
    """x [time][inp] times w^T (rows of w are outputs), or times w for Conv1D."""
    r = []
    for row in x:
        if conv:
            y = [sum(row[i] * w[i * out + o] for i in range(inp)) for o in range(out)]
        else:
            y = [sum(row[i] * w[o * inp + i] for i in range(inp)) for o in range(out)]
        r.append([a + b for a, b in zip(y, bias)] if bias else y)
    return r


def rms(x, w, eps):
    return [[v * s * g for v, g in zip(row, w)] for row in x for s in [1 / math.sqrt(sum(v * v for v in row) / len(row) + eps)]]


def layer(x, w, b, eps):
    out = []
    for row in x:
        m = sum(row) / len(row)
        s = 1 / math.sqrt(sum((v - m) ** 2 for v in row) / len(row) + eps)
        out.append([(v - m) * s * g + c for v, g, c in zip(row, w, b)])
    return out


def attend(q, k, v, heads, kv, hd):
    out = []
    for t in range(len(q)):
        row = []
        for h in range(heads):
            g = h // (heads // kv)
            s = [sum(q[t][h * hd + i] * k[u][g * hd + i] for i in range(hd)) / math.sqrt(hd) for u in range(t + 1)]
            top = max(s)
            e = [math.exp(a - top) for a in s]
            z = sum(e)
            row += [sum(e[u] * v[u][g * hd + i] for u in range(t + 1)) / z for i in range(hd)]
        out.append(row)
    return out


def rope(x, heads, hd, theta):
    out = []
    for t, row in enumerate(x):
        new = list(row)
        for h in range(heads):
            for i in range(hd // 2):
                a = t * theta ** (-2 * i / hd)
                p, r = row[h * hd + i], row[h * hd + i + hd // 2]
                new[h * hd + i] = p * math.cos(a) - r * math.sin(a)
                new[h * hd + i + hd // 2] = r * math.cos(a) + p * math.sin(a)
        out.append(new)
    return out


def logprobs(hidden, head, width, ids):
    result = [None]
    for row, target in zip(hidden[:-1], ids[1:]):
        z = [sum(row[i] * head[o * width + i] for i in range(width)) for o in range(V)]
        top = max(z)
        result.append(z[target] - top - math.log(sum(math.exp(a - top) for a in z)))
    return result


def rotary(folder, seed, family, width, inner, layers, heads, kv, theta, tied, eps=1e-5, shards=1, dtype="F32", prefix="model."):
    rng = random.Random(seed)
    cut = bf16 if dtype == "BF16" else f32
    hd = width // heads
    t = {}

    def make(name, shape, scale=0.15, mean=0.0):
        t[name] = (shape, [cut(rng.gauss(mean, scale)) for _ in range(math.prod(shape))])

    make(prefix + "embed_tokens.weight", [V, width], 0.5)
    for l in range(layers):
        p = f"{prefix}layers.{l}."
        make(p + "input_layernorm.weight", [width], 0.2, 1)
        for n, o in (("q", heads * hd), ("k", kv * hd), ("v", kv * hd)):
            make(p + f"self_attn.{n}_proj.weight", [o, width])
            if family == "qwen2":
                make(p + f"self_attn.{n}_proj.bias", [o], 0.3)
        make(p + "self_attn.o_proj.weight", [width, heads * hd])
        make(p + "post_attention_layernorm.weight", [width], 0.2, 1)
        make(p + "mlp.gate_proj.weight", [inner, width])
        make(p + "mlp.up_proj.weight", [inner, width])
        make(p + "mlp.down_proj.weight", [width, inner])
    make(prefix + "norm.weight", [width], 0.2, 1)
    if not tied:
        make("lm_head.weight", [V, width], 0.3)
    config = {"architectures": ["LlamaForCausalLM" if family == "llama" else "Qwen2ForCausalLM"], "model_type": family, "vocab_size": V, "hidden_size": width,
              "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv, "max_position_embeddings": 64,
              "rms_norm_eps": eps, "rope_theta": theta, "hidden_act": "silu", "tie_word_embeddings": tied, "eos_token_id": 0}
    save(folder, config, t, shards, dtype)
    w = {k: v[1] for k, v in t.items()}
    ids = [rng.randrange(V) for _ in range(T)]
    x = [w[prefix + "embed_tokens.weight"][i * width:(i + 1) * width] for i in ids]
    for l in range(layers):
        p = f"{prefix}layers.{l}."
        n = rms(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (mat(n, w[p + f"self_attn.{c}_proj.weight"], o, width, w.get(p + f"self_attn.{c}_proj.bias")) for c, o in (("q", heads * hd), ("k", kv * hd), ("v", kv * hd)))
        a = attend(rope(q, heads, hd, theta), rope(k, kv, hd, theta), v, heads, kv, hd)
        x = [[i + j for i, j in zip(r, s)] for r, s in zip(x, mat(a, w[p + "self_attn.o_proj.weight"], width, heads * hd))]
        n = rms(x, w[p + "post_attention_layernorm.weight"], eps)
        g, u = mat(n, w[p + "mlp.gate_proj.weight"], inner, width), mat(n, w[p + "mlp.up_proj.weight"], inner, width)
        h = [[i / (1 + math.exp(-i)) * j for i, j in zip(r, s)] for r, s in zip(g, u)]
        x = [[i + j for i, j in zip(r, s)] for r, s in zip(x, mat(h, w[p + "mlp.down_proj.weight"], width, inner))]
    head = w[prefix + "embed_tokens.weight"] if tied else w["lm_head.weight"]
    json.dump({"ids": ids, "log_probabilities": logprobs(rms(x, w[prefix + "norm.weight"], eps), head, width, ids)}, open(f"{folder}/reference.json", "w"))


def gpt2(folder, seed, width, layers, heads, prefix="transformer.", shards=1):
    rng = random.Random(seed)
    hd, eps, t = width // heads, 1e-5, {}

    def make(name, shape, scale=0.15, mean=0.0):
        t[prefix + name] = (shape, [f32(rng.gauss(mean, scale)) for _ in range(math.prod(shape))])

    make("wte.weight", [V, width], 0.5)
    make("wpe.weight", [64, width], 0.2)
    for l in range(layers):
        p = f"h.{l}."
        for n in ("ln_1", "ln_2"):
            make(p + n + ".weight", [width], 0.2, 1)
            make(p + n + ".bias", [width], 0.2)
        for n, i, o in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width), ("mlp.c_fc", width, 4 * width), ("mlp.c_proj", 4 * width, width)):
            make(p + n + ".weight", [i, o])
            make(p + n + ".bias", [o], 0.2)
        make(p + "attn.bias", [1, 1, 4, 4])  # a mask buffer, as old files carry it
    make("ln_f.weight", [width], 0.2, 1)
    make("ln_f.bias", [width], 0.2)
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": V, "n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": 64,
              "layer_norm_epsilon": eps, "activation_function": "gelu_new", "eos_token_id": 0}
    save(folder, config, t, shards)
    w = {k[len(prefix):]: v[1] for k, v in t.items()}
    ids = [rng.randrange(V) for _ in range(T)]
    x = [[a + b for a, b in zip(w["wte.weight"][i * width:(i + 1) * width], w["wpe.weight"][n * width:(n + 1) * width])] for n, i in enumerate(ids)]
    for l in range(layers):
        p = f"h.{l}."
        n = layer(x, w[p + "ln_1.weight"], w[p + "ln_1.bias"], eps)
        qkv = mat(n, w[p + "attn.c_attn.weight"], 3 * width, width, w[p + "attn.c_attn.bias"], conv=True)
        a = attend([r[:width] for r in qkv], [r[width:2 * width] for r in qkv], [r[2 * width:] for r in qkv], heads, heads, hd)
        x = [[i + j for i, j in zip(r, s)] for r, s in zip(x, mat(a, w[p + "attn.c_proj.weight"], width, width, w[p + "attn.c_proj.bias"], conv=True))]
        n = layer(x, w[p + "ln_2.weight"], w[p + "ln_2.bias"], eps)
        h = mat(n, w[p + "mlp.c_fc.weight"], 4 * width, width, w[p + "mlp.c_fc.bias"], conv=True)
        h = [[0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))) for v in r] for r in h]
        x = [[i + j for i, j in zip(r, s)] for r, s in zip(x, mat(h, w[p + "mlp.c_proj.weight"], width, 4 * width, w[p + "mlp.c_proj.bias"], conv=True))]
    json.dump({"ids": ids, "log_probabilities": logprobs(layer(x, w["ln_f.weight"], w["ln_f.bias"], eps), w["wte.weight"], width, ids)}, open(f"{folder}/reference.json", "w"))


rotary(f"{HERE}/llama", 1, "llama", 32, 48, 2, 2, 1, 500000.0, False)
rotary(f"{HERE}/llama-odd", 2, "llama", 24, 40, 1, 4, 2, 10000.0, True, shards=3, prefix="")
rotary(f"{HERE}/qwen2", 3, "qwen2", 32, 48, 2, 2, 2, 1000000.0, False, eps=1e-6, shards=2)
rotary(f"{HERE}/qwen2-bf16", 4, "qwen2", 32, 48, 1, 2, 1, 10000.0, True, dtype="BF16")
gpt2(f"{HERE}/gpt2", 5, 32, 2, 2)
gpt2(f"{HERE}/gpt2-bare", 6, 24, 1, 2, prefix="", shards=2)

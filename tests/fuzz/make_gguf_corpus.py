#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/gguf and imatrix: small whole files and one of every kind of hostile one.

Names say what is wrong with a file. Files that the fuzzer found are named found-*, and stay."""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
BIG = 2**64 - 1


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(s)) + s


def header(tensors, values, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, tensors, values)


def value(key, kind, raw):
    return text(key) + struct.pack("<I", kind) + raw


def u32(key, n):
    return value(key, U32, struct.pack("<I", n))


def array(key, kind, count, raw):
    return value(key, ARRAY, struct.pack("<IQ", kind, count) + raw)


def tensor(name, ne, kind, offset, n_dims=None):
    return (text(name) + struct.pack("<I", len(ne) if n_dims is None else n_dims)
            + b"".join(struct.pack("<Q", n) for n in ne) + struct.pack("<IQ", kind, offset))


def pad(data, n=32):
    return data + bytes(-len(data) % n)


def with_tensor(ne=(32,), kind=0, offset=0, name="x", n_dims=None, data=256, values=b"", n_values=0):
    return pad(header(1, n_values) + values + tensor(name, ne, kind, offset, n_dims)) + bytes(data)


def all_values():
    words = array("words", STRING, 3, text("one") + text("") + text(b"t\0o"))
    scalars = [(U8, "<B", 200), (I8, "<b", -3), (U16, "<H", 60000), (I16, "<h", -3), (U32, "<I", 7),
               (I32, "<i", -7), (F32, "<f", 1.5), (BOOL, "<B", 1), (U64, "<Q", BIG),
               (I64, "<q", -2**63), (F64, "<d", 1e300)]
    body = b"".join(value("k%d" % kind, kind, struct.pack(f, x)) for kind, f, x in scalars)
    numbers = array("numbers", I16, 3, struct.pack("<3h", 1, -2, 3))
    return header(0, len(scalars) + 3) + body + words + numbers + value("s", STRING, text("text"))


def tiny_model(version=3):
    """A Llama file of one layer in which nothing has data that makes sense."""
    keys = [value("general.architecture", STRING, text("llama")), u32("llama.block_count", 1),
            u32("llama.attention.head_count", 4), u32("llama.attention.head_count_kv", 1)]
    names = [("token_embd.weight", (256, 4), 8), ("blk.0.attn_norm.weight", (256,), 0),
             ("blk.0.attn_v.weight", (256, 2), 12), ("blk.0.ffn_down.weight", (256, 2), 1),
             ("output.weight", (32, 2), 2)]
    size = {8: 34 * 8, 0: 1024, 12: 144, 1: 512, 2: 18}
    table, offset = b"", 0
    for name, ne, kind in names:
        table += tensor(name, ne, kind, offset)
        offset += -(-size[kind] * (ne[1] if len(ne) > 1 else 1) // 32) * 32
    return pad(header(len(names), len(keys), version) + b"".join(keys) + table) + bytes(offset)


def f32(key, x):
    return value(key, F32, struct.pack("<f", x))


SPM = [value("tokenizer.ggml.model", STRING, text("llama")),
       array("tokenizer.ggml.tokens", STRING, 4, b"".join(map(text, ["<unk>", "<s>", "a", "b"]))),
       array("tokenizer.ggml.scores", F32, 4, struct.pack("<4f", 0, 0, -1, -2)),
       array("tokenizer.ggml.token_type", I32, 4, struct.pack("<4i", 2, 3, 1, 1)),
       u32("tokenizer.ggml.bos_token_id", 1)]
BYTES = [value("tokenizer.ggml.model", STRING, text("gpt2")),
         value("tokenizer.ggml.pre", STRING, text("qwen2")),
         array("tokenizer.ggml.tokens", STRING, 4, b"".join(map(text, ["<s>", "a", "b", "ab"]))),
         array("tokenizer.ggml.merges", STRING, 1, text("a b"))]


def runnable_model(arch="llama", keys=(), vectors=(), fused=False, vocabulary=SPM, layers=1, ff=32,
                   kv_heads=1):
    """The smallest file that opens as a model: 32 wide, four tokens. `vectors`: those of a layer
    besides the norms that all have, with their lengths. `keys` replace those that all have."""
    usual = [
            value("general.architecture", STRING, text(arch)), u32(arch + ".block_count", layers),
            u32(arch + ".embedding_length", 32), u32(arch + ".feed_forward_length", ff),
            u32(arch + ".context_length", 64), u32(arch + ".attention.head_count", 2),
            u32(arch + ".attention.head_count_kv", kv_heads),
            f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5)]
    keys = [k for k in usual if not any(x.startswith(k[:8 + k[0]]) for x in keys)] + [
        *keys, *vocabulary]
    kv = 16 * kv_heads
    matrices = {"attn_q": (32, 32), "attn_k": (32, kv), "attn_v": (32, kv), "attn_output": (32, 32),
                "ffn_gate": (32, ff), "ffn_up": (32, ff), "ffn_down": (ff, 32)}
    if fused:
        matrices = {"attn_qkv": (32, 64), "attn_output": (32, 32), "ffn_up": (32, 64),
                    "ffn_down": (32, 32)}
    parts = [("token_embd.weight", (32, 4), 2), ("output_norm.weight", (32,), 0),
             ("output.weight", (32, 4), 2)]
    for i in range(layers):
        norms = [("attn_norm.weight", 32), ("ffn_norm.weight", 32), *vectors]
        parts += [("blk.%d.%s" % (i, name), (n,), 0) for name, n in norms]
        parts += [("blk.%d.%s.weight" % (i, name), shape, 2) for name, shape in matrices.items()]
    table, data = b"", b""
    for name, ne, kind in parts:
        table += tensor(name, ne, kind, len(data))
        data = pad(data + (struct.pack("<%df" % ne[0], *[1.0] * ne[0]) if kind == 0 else
                           (struct.pack("<e", 0.1) + bytes(range(16))) * (ne[0] // 32 * ne[1])))
    return pad(header(len(parts), len(keys)) + b"".join(keys) + table) + data


SIZES = [("feed_forward_length", 32), ("attention.head_count", 2), ("attention.head_count_kv", 1)]
QKV = [("attn_q.bias", 32), ("attn_k.bias", 16), ("attn_v.bias", 16)]
HEADS = [("attn_q_norm.weight", 16), ("attn_k_norm.weight", 16)]
POST = [("post_attention_norm.weight", 32), ("post_ffw_norm.weight", 32)]


def imatrix():
    table = tensor("a.weight.in_sum2", (4, 2), 0, 0) + tensor("a.weight.counts", (1, 2), 0, 32)
    return (pad(header(2, 1) + value("general.type", STRING, text("imatrix")) + table)
            + struct.pack("<8f", *range(8)) + pad(struct.pack("<2f", 2, 0)))


def old_imatrix(entries=1, length=1, calls=1, n=2):
    return struct.pack("<ii1sii2f", entries, length, b"a", calls, n, 1, 2)


FILES = {
    "ok-values": all_values(),
    "ok-model": tiny_model(),
    "ok-model-runs": runnable_model(),
    "ok-model-prunable": runnable_model(layers=3, ff=64, kv_heads=2),
    "ok-model-yarn": runnable_model(keys=[
        value("llama.rope.scaling.type", STRING, text("yarn")), f32("llama.rope.scaling.factor", 4),
        u32("llama.rope.scaling.original_context_length", 16)]),
    "ok-model-qwen2": runnable_model("qwen2", vectors=QKV, vocabulary=BYTES),
    "ok-model-qwen3": runnable_model("qwen3", vectors=HEADS, vocabulary=BYTES),
    "ok-model-gemma2": runnable_model("gemma2", vectors=POST, layers=2, keys=[
        u32("gemma2.attention.sliding_window", 2), f32("gemma2.attn_logit_softcapping", 50)]),
    "ok-model-gemma3": runnable_model("gemma3", vectors=HEADS + POST, layers=2, keys=[
        u32("gemma3.attention.sliding_window", 2), f32("gemma3.rope.freq_base", 1e6)]),
    "ok-model-phi3": runnable_model("phi3", fused=True),
    "ok-model-phi3-short": runnable_model("phi3", fused=True, keys=[
        u32("phi3.rope.scaling.original_context_length", 2), f32("phi3.rope.scaling.attn_factor", 1.2),
        u32("phi3.rope.dimension_count", 12)]),
    "ok-model-lists": runnable_model(layers=2, keys=[
        array("llama." + k, U32, 2, struct.pack("<2I", n, n)) for k, n in SIZES]),
    "ok-model-pattern": runnable_model("gemma3", vectors=HEADS + POST, layers=2, keys=[
        u32("gemma3.attention.sliding_window", 1),
        array("gemma3.attention.sliding_window_pattern", BOOL, 2, b"\0\1")]),
    "bad-lists-short": runnable_model(layers=2, keys=[
        array("llama.feed_forward_length", U32, 1, struct.pack("<I", 32))]),
    "bad-lists-real": runnable_model(layers=2, keys=[
        array("llama.attention.head_count", F32, 2, struct.pack("<2f", 2, 2))]),
    "bad-lists-uneven": runnable_model(layers=2, keys=[
        array("llama.attention.head_count_kv", U32, 2, struct.pack("<2I", 1, 0))]),
    "bad-rows-fused": runnable_model("phi3", fused=True, keys=[
        u32("phi3.attention.head_count_kv", 2)]),
    "bad-window": runnable_model("gemma2", vectors=POST, keys=[
        value("gemma2.attention.sliding_window", I32, struct.pack("<i", -5))]),
    "bad-pattern": runnable_model("gemma3", vectors=HEADS + POST, layers=2, keys=[
        u32("gemma3.attention.sliding_window", 2),
        array("gemma3.attention.sliding_window_pattern", STRING, 1, text("x"))]),
    "bad-cap": runnable_model("gemma2", vectors=POST, keys=[
        f32("gemma2.attn_logit_softcapping", float("nan"))]),
    "bad-yarn": runnable_model(keys=[
        value("llama.rope.scaling.type", STRING, text("yarn")),
        f32("llama.rope.scaling.factor", 1e-30), f32("llama.rope.freq_base", 1)]),
    "bad-split-no": header(0, 2) + value("split.count", U16, struct.pack("<H", 2))
                    + value("split.no", U16, struct.pack("<H", 7)),
    "ok-model-v2": tiny_model(2),
    "ok-alignment": with_tensor(values=u32("general.alignment", 64), n_values=1),
    "ok-foreign-type": with_tensor((256, 2), 16),
    "ok-imatrix": imatrix(),
    "ok-imatrix-dat": old_imatrix(),
    "bad-empty": b"",
    "bad-magic": header(0, 0, magic=b"GGML"),
    "bad-short-magic": b"GG",
    "bad-version-1": header(0, 0, 1),
    "bad-version-99": header(0, 0, 99),
    "bad-big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "bad-count-values": header(0, BIG),
    "bad-count-tensors": header(BIG, 0),
    "bad-count-both": header(2**32, 2**32) + bytes(64),
    "bad-value-type": header(0, 1) + value("k", 13, bytes(16)),
    "bad-array-type": header(0, 1) + array("k", 77, 1, bytes(16)),
    "bad-array-nested": header(0, 1) + array("k", ARRAY, 1, struct.pack("<IQ", U8, 1) + b"x"),
    "bad-array-count": header(0, 1) + array("k", U64, BIG // 4, bytes(16)),
    "bad-array-strings": header(0, 1) + array("k", STRING, BIG, bytes(64)),
    "bad-string-length": header(0, 1) + value("k", STRING, struct.pack("<Q", BIG - 3)),
    "bad-key-empty": header(0, 1) + value("", U8, b"x" * 8),
    "bad-key-nul": header(0, 1) + value(b"a\0b", U8, b"x" * 8),
    "bad-key-length": header(0, 1) + struct.pack("<Q", BIG) + bytes(16),
    "bad-key-twice": header(0, 2) + u32("k", 1) + u32("k", 1),
    "bad-alignment-48": with_tensor(values=u32("general.alignment", 48), n_values=1),
    "bad-alignment-0": with_tensor(values=u32("general.alignment", 0), n_values=1),
    "bad-alignment-huge": with_tensor(values=u32("general.alignment", 2**31), n_values=1),
    "bad-split": header(0, 1) + value("split.count", U16, struct.pack("<H", 3)),
    "bad-dims-0": with_tensor((), n_dims=0),
    "bad-dims-5": with_tensor((1, 1, 1, 1, 1)),
    "bad-dims-many": with_tensor((1,), n_dims=2**32 - 1),
    "bad-length-0": with_tensor((32, 0)),
    "bad-product": with_tensor((2**40, 2**40)),
    "bad-product-wraps": with_tensor((2**32, 2**32, 2, 1), 24),
    "bad-row": with_tensor((33,), 2),
    "bad-type": with_tensor(kind=1000),
    "bad-type-removed": with_tensor(kind=4),
    "bad-offset-odd": with_tensor(offset=8),
    "bad-offset-far": with_tensor(offset=2**40),
    "bad-offset-wraps": with_tensor(offset=BIG - 31),
    "bad-tensor-name": with_tensor(name=b"\x1b[2J"),
    "bad-tensor-twice": pad(header(2, 0) + tensor("x", (8,), 0, 0) * 2) + bytes(64),
    "bad-truncated-data": tiny_model()[:-40],
    "bad-truncated-table": tiny_model()[:250],
    "bad-truncated-values": all_values()[:60],
    "bad-imatrix-dat-count": old_imatrix(entries=2**31 - 1),
    "bad-imatrix-dat-length": old_imatrix(length=-1),
    "bad-imatrix-dat-values": old_imatrix(n=2**30),
}

for name, data in FILES.items():
    folder = os.path.join(HERE, "imatrix" if "imatrix" in name else "gguf")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)
print("%d files, %d bytes" % (len(FILES), sum(map(len, FILES.values()))))

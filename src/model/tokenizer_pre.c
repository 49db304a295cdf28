/* Which patterns a model's words follow: facts of the models, as llama.cpp names them. */
#include "model/tokenizer.h"

#include <string.h>

/* White space as Unicode has it: PCRE2's \s knows one character more. */
#define W "\\x{9}-\\x{d} \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
          "\\x{205f}\\x{3000}"
#define SPACE "[" W "]"
#define SPACES SPACE "+(?![^" W "])|" SPACE "+"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" W "\\p{L}\\p{N}]+|" SPACES
#define SHORT "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define MARKS "| ?[^" W "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACES
#define LETTERS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define LLAMA3 SHORT "|" LETTERS "\\p{N}{1,3}" MARKS
#define QWEN2 SHORT "|" LETTERS "\\p{N}" MARKS
/* Words that begin with capitals; letters beyond ASCII count as both. */
#define CASED(end) "[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}a-z]*[^\\P{L}A-Z]+" end \
                   "|[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}a-z]+[^\\P{L}A-Z]*" end "|"
#define SLASHED "| ?[^" W "\\p{L}\\p{N}]+[\\r\\n/]*|" SPACE "*[\\r\\n]+|" SPACES
#define CJK "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define PUNCTUATED "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" \
    SPACE "*[\\r\\n]+|" SPACES

static const bg_pretokenizer table[] = {
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false},
    {"gpt-2 phi-2 mpt olmo jais exaone4 trillion granite-docling gigachat mellum a.x-4.0", {GPT2},
     false, false},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {"\\p{N}", GPT2},
     false, false},
    {"falcon", {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}, false, false},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {LLAMA3}, true, true},
    {"glm4 glm5", {LLAMA3}, true, false},
    {"dbrx smaug-bpe chatglm-bpe", {LLAMA3}, false, false},
    {"qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2", {QWEN2}, false,
     false},
    {"qwen35", {SHORT "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" W "\\p{L}\\p{M}\\p{N}]+"
                "[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACES}, false, false},
    {"minicpm5", {"\\p{N}{1,3}", SHORT "|" LETTERS "\\p{N}+" MARKS}, true, false},
    {"seed-coder", {SHORT "|" LETTERS "\\p{N}| ?[^" W "\\p{L}\\p{N}\\r\\n]+|" SPACE "*[\\r\\n]+|"
                    SPACES}, false, false},
    {"bailingmoe bailingmoe2 llada-moe", {"'[sSdDmMtT]|'[lL][lL]|'[vV][eE]|'[rR][eE]|" LETTERS
        "\\p{N}| ?[^" W "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]|" SPACES}, false, false},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", {CASED("(?:" SHORT ")?") "\\p{N}{1,3}" SLASHED},
     false, false},
    {"tekken", {CASED("") "\\p{N}" SLASHED}, true, true},
    {"deepseek-coder", {"[\\r\\n]", SPACE "?\\p{L}+", SPACE "?\\p{P}+",
                        "[^\\x{0}-\\x{7ff}" W "\\x{9fa6}-\\x{abff}\\x{e000}-\\x{10ffff}]+",
                        "\\p{N}"}, false, false},
    {"deepseek-v3 hunyuan-dense joyai-llm", {"\\p{N}{1,3}", CJK, PUNCTUATED}, false, false},
    {"poro-chat bloom gpt3-finnish", {" ?[^(" W "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}"
                                      "\\x{964}\\x{6d4}\\x{60c})]+"}, false, false},
};

const bg_pretokenizer *bg_pretokenizer_find(const char *name, size_t n)
{
    for (size_t i = 0; i < BG_COUNT(table); i++)
        for (const char *p = table[i].names; *p;) {
            size_t length = strcspn(p, " ");
            if (length == n && memcmp(p, name, n) == 0) return &table[i];
            p += length + (p[length] == ' ');
        }
    return NULL;
}

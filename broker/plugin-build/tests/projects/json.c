// The reader of JSON of the SDK for C, on this machine: what it finds in texts that are JSON, that it stays within those that are not, and that
// all it allocates is freed.

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// What is allocated ends with bytes that nobody may touch, and is counted until it is freed.
static size_t allocated;
enum { GUARD = 16, GUARDED = 0xA5 };

static void *counted_calloc(size_t count, size_t size) {
  size_t len = count * size;
  uint8_t *memory = malloc(GUARD + len + GUARD);
  assert(memory);
  memcpy(memory, &len, sizeof len);
  memset(memory + GUARD, 0, len);
  memset(memory + GUARD + len, GUARDED, GUARD);
  allocated++;
  return memory + GUARD;
}

static void counted_free(void *at) {
  if (!at) return;
  uint8_t *memory = (uint8_t *)at - GUARD;
  size_t len;
  memcpy(&len, memory, sizeof len);
  for (size_t guard = 0; guard < GUARD; guard++) assert(memory[GUARD + len + guard] == GUARDED);
  allocated--;
  free(memory);
}

#define calloc counted_calloc
#define free counted_free
#include "tidegate_json.h"
// That of the bindings.
#include "free.h"
#undef calloc
#undef free

// Looks at everything there is.
static void walk(tg_json_t value, int depth) {
  tg_string_t text;
  double number;
  assert(value.at <= value.end);
  if (tg_json_text(value, &text)) tg_string_free(&text);
  tg_json_number(value, &number);
  tg_json_member(value, "a");
  if (depth > 40) return;
  tg_json_t inside = tg_json_inside(value), key, item;
  size_t items = 0;
  while (tg_json_next(&inside, &key, &item)) {
    assert(++items < 100);
    walk(key, depth + 1);
    walk(item, depth + 1);
  }
}

static void any_text(void) {
  const char letters[] = "{}[]\",:\\ua0d8DCbf n-1.eE9x \t\0\xc3\xa9";
  // A page between two that nobody may read: a text touches one of them, so that a step too far is the end.
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert(pages != MAP_FAILED);
  assert(mprotect(pages, page, PROT_NONE) == 0 && mprotect(pages + 2 * page, page, PROT_NONE) == 0);
  for (int round = 0; round < 300000; round++) {
    size_t len = (size_t)rand() % 40;
    char *text = pages + page + (round % 2 ? 0 : page - len);
    for (size_t at = 0; at < len; at++) text[at] = letters[(size_t)rand() % (sizeof letters - 1)];
    tg_json_t value = tg_json(text, len), only = tg_json_only(text, len);
    assert(!value.at || (value.at >= text && value.end <= text + len));
    assert(!only.at || (only.at == value.at && only.end == value.end));
    walk(value, 0);
    assert(allocated == 0);
  }
}

static tg_json_t json(const char *text) { return tg_json(text, strlen(text)); }

static void says(tg_json_t value, const char *expected) { assert(tg_json_says(value, expected)); }

int main(void) {
  tg_json_t object = json(" {\"a\": [1, 2.5, \"x\\n\\u00e9\\ud83d\\ude00\\ud83dx\"], \"b\\\"\": {\"c\": null, \"d\": \"]}\"}, \"e\": -3e2, \"e\": 0x10}");
  double number;
  says(tg_json_member(tg_json_member(object, "b\""), "d"), "]}");
  assert(!tg_json_member(object, "f").at);
  // The last one, and that is no number.
  assert(!tg_json_number(tg_json_member(object, "e"), &number));
  tg_json_t inside = tg_json_inside(tg_json_member(object, "a")), none, item;
  assert(tg_json_next(&inside, &none, &item) && !none.at && tg_json_number(item, &number) && number == 1);
  assert(tg_json_next(&inside, &none, &item) && tg_json_number(item, &number) && number == 2.5);
  assert(tg_json_next(&inside, &none, &item));
  says(item, "x\n\u00e9\U0001F600\uFFFDx");
  assert(!tg_json_next(&inside, &none, &item));

  // Empty, and wrong after a while.
  says(tg_json_member(json("{\"\": \"\"}"), ""), "");
  tg_string_t text;
  assert(!tg_json_text(json("\"abc\\x\""), &text) && !text.ptr);
  assert(!tg_alloc(0));

  // One bracket is not another.
  for (const char *const *wrong = (const char *const[]){"{\"a\": 1]", "[\"a\": 1}", "{\"a\": 1", NULL}; *wrong; wrong++) {
    assert(!tg_json_inside(json(*wrong)).at && !tg_json_member(json(*wrong), "a").at);
  }

  // Alone, or with others.
  assert(tg_json_number(tg_json_only(" 21.5\r\n", 7), &number) && number == 21.5);
  for (const char *const *wrong = (const char *const[]){"21.5 22", ",21.5", "21.5,", "21.5]", "", " ", NULL}; *wrong; wrong++) {
    assert(!tg_json_only(*wrong, strlen(*wrong)).at);
  }
  assert(!tg_json_only("21.5\0", 5).at);
  assert(allocated == 0);
  any_text();
  puts("good");
}

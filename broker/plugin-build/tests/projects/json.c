// The reader of JSON of the SDK for C, on this machine: what it finds in texts that are JSON, and that it stays within those that are not.

#include "tidegate_json.h"

#include <assert.h>
#include <stdio.h>

void tg_string_free(tg_string_t *text) {
  free(text->ptr);
  *text = (tg_string_t){0};
}

// Looks at everything there is. What is not within `text` is found by the sanitizer.
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
  for (int round = 0; round < 300000; round++) {
    size_t len = (size_t)rand() % 40;
    // At the end of what was allocated, so that a step too far is seen.
    char *text = malloc(len + 1);
    for (size_t at = 0; at < len; at++) text[at] = letters[(size_t)rand() % (sizeof letters - 1)];
    tg_json_t value = tg_json(text, len);
    assert(!value.at || (value.at >= text && value.end <= text + len));
    walk(value, 0);
    free(text);
  }
}

static void says(tg_json_t value, const char *expected) { assert(tg_json_says(value, expected)); }

int main(void) {
  const char *json = " {\"a\": [1, 2.5, \"x\\n\\u00e9\\ud83d\\ude00\\ud83dx\"], \"b\\\"\": {\"c\": null, \"d\": \"]}\"}, \"e\": -3e2, \"e\": 0x10}";
  tg_json_t object = tg_json(json, strlen(json));
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
  any_text();
  puts("good");
}

// Reads JSON: the plugin's config, secrets, payloads. It finds its way through any text, and does not check what it steps over.

#pragma once

#include "tg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A value, in a text that somebody else keeps. What is not there begins and ends at NULL.
typedef struct {
  const char *at;
  const char *end;
} tg_json_t;

// Memory, or the end of this instance: address 0 is one like any other here. NULL for no bytes at all, as the bindings free none for those.
static inline void *tg_alloc(size_t len) {
  if (len == 0) return NULL;
  void *memory = calloc(1, len);
  if (!memory) abort();
  return memory;
}

// What is empty may be at NULL, which `memcmp` must not be given.
static inline bool tg_equal_(const void *a, const void *b, size_t len) { return len == 0 || memcmp(a, b, len) == 0; }

static inline const char *tg_json_space_(const char *at, const char *end) {
  while (at < end && strchr(" \t\r\n,", *at)) at++;
  return at;
}

// Behind a string that begins at `at`.
static inline const char *tg_json_behind_string_(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (*at == '"') return at + 1;
    if (*at == '\\') at++;
  }
  return end;
}

static inline const char *tg_json_behind_(const char *at, const char *end) {
  size_t depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = tg_json_behind_string_(at, end);
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      if (depth > 0) depth--;
      at++;
    } else if (depth > 0) {
      at++;
    } else {
      // A number or a word.
      while (at < end && !strchr(" \t\r\n,:]}", *at)) at++;
    }
    if (depth == 0) return at;
  }
  return end;
}

// The first value of a text.
static inline tg_json_t tg_json(const void *text, size_t len) {
  const char *end = (const char *)text + len;
  const char *at = tg_json_space_((const char *)text, end);
  return at < end ? (tg_json_t){at, tg_json_behind_(at, end)} : (tg_json_t){0};
}

// Whether there is nothing in between that means anything.
static inline bool tg_json_blank_(const char *at, const char *end) {
  while (at < end && memchr(" \t\r\n", *at, 4)) at++;
  return at >= end;
}

// The value of a text that has no other.
static inline tg_json_t tg_json_only(const void *text, size_t len) {
  tg_json_t value = tg_json(text, len);
  bool is_alone = value.at && tg_json_blank_((const char *)text, value.at) && tg_json_blank_(value.end, (const char *)text + len);
  return is_alone ? value : (tg_json_t){0};
}

// What is inside an object or a list, for `tg_json_next`. Of anything else: nothing.
static inline tg_json_t tg_json_inside(tg_json_t value) {
  bool has_inside = value.at && value.end - value.at >= 2;
  if (has_inside) has_inside = (*value.at == '{' && value.end[-1] == '}') || (*value.at == '[' && value.end[-1] == ']');
  return has_inside ? (tg_json_t){value.at + 1, value.end - 1} : (tg_json_t){0};
}

// Takes the next value out of what is inside of an object or a list, and its key if it has one. False: there is no more.
static inline bool tg_json_next(tg_json_t *inside, tg_json_t *key, tg_json_t *value) {
  *key = (tg_json_t){0};
  for (;;) {
    inside->at = tg_json_space_(inside->at, inside->end);
    if (inside->at >= inside->end) return false;
    const char *behind = tg_json_behind_(inside->at, inside->end);
    // A text that is none must not keep us.
    if (behind == inside->at) behind++;
    *value = (tg_json_t){inside->at, behind};
    inside->at = tg_json_space_(behind, inside->end);
    if (inside->at >= inside->end || *inside->at != ':') return true;
    *key = *value;
    inside->at++;
  }
}

static inline bool tg_json_hex_(const char *at, const char *end, uint32_t *code) {
  *code = 0;
  for (int digit = 0; digit < 4; digit++, at++) {
    const char *digits = "0123456789abcdef0123456789ABCDEF";
    const char *found = at < end && *at ? strchr(digits, *at) : NULL;
    if (!found) return false;
    *code = *code * 16 + (uint32_t)((found - digits) % 16);
  }
  return true;
}

static inline size_t tg_json_utf8_(uint32_t code, uint8_t *to) {
  if (code < 0x80) return to[0] = (uint8_t)code, 1;
  if (code < 0x800) return to[0] = (uint8_t)(0xC0 | code >> 6), to[1] = (uint8_t)(0x80 | (code & 63)), 2;
  if (code < 0x10000) {
    to[0] = (uint8_t)(0xE0 | code >> 12), to[1] = (uint8_t)(0x80 | (code >> 6 & 63)), to[2] = (uint8_t)(0x80 | (code & 63));
    return 3;
  }
  to[0] = (uint8_t)(0xF0 | code >> 18), to[1] = (uint8_t)(0x80 | (code >> 12 & 63));
  to[2] = (uint8_t)(0x80 | (code >> 6 & 63)), to[3] = (uint8_t)(0x80 | (code & 63));
  return 4;
}

// The text of a string, to be freed by `tg_string_free`. False: it is none.
static inline bool tg_json_text(tg_json_t value, tg_string_t *text) {
  if (!value.at || value.end - value.at < 2 || *value.at != '"' || value.end[-1] != '"') return false;
  const char *at = value.at + 1, *end = value.end - 1;
  // It becomes no longer.
  uint8_t *to = tg_alloc((size_t)(end - at));
  *text = (tg_string_t){to, 0};
  while (at < end) {
    const char *escapes = "bfnrt\"\\/", *meant = "\b\f\n\r\t\"\\/", *found;
    uint32_t code, low;
    if (*at != '\\' || at + 1 >= end) {
      to[text->len++] = (uint8_t)*at++;
    } else if (at[1] && (found = strchr(escapes, at[1]))) {
      to[text->len++] = (uint8_t)meant[found - escapes];
      at += 2;
    } else if (at[1] == 'u' && tg_json_hex_(at + 2, end, &code)) {
      at += 6;
      bool is_high = code >= 0xD800 && code < 0xDC00, has_low = at + 1 < end && at[0] == '\\' && at[1] == 'u';
      if (is_high && has_low && tg_json_hex_(at + 2, end, &low) && low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
        at += 6;
      } else if (code >= 0xD800 && code < 0xE000) {
        code = 0xFFFD;
      }
      text->len += tg_json_utf8_(code, to + text->len);
    } else {
      free(to);
      *text = (tg_string_t){0};
      return false;
    }
  }
  return true;
}

// Whether it is a string that says this.
static inline bool tg_json_says(tg_json_t value, const char *other) {
  tg_string_t text;
  if (!tg_json_text(value, &text)) return false;
  bool same = text.len == strlen(other) && tg_equal_(text.ptr, other, text.len);
  tg_string_free(&text);
  return same;
}

// The value of that key. If there are several, the last.
static inline tg_json_t tg_json_member(tg_json_t object, const char *name) {
  tg_json_t inside = tg_json_inside(object), key, value, found = {0};
  while (tg_json_next(&inside, &key, &value)) {
    if (tg_json_says(key, name)) found = value;
  }
  return found;
}

// A number that is finite. False: it is none.
static inline bool tg_json_number(tg_json_t value, double *number) {
  char digits[64], *end;
  size_t len = (size_t)(value.end - value.at);
  if (len == 0 || len >= sizeof digits || !strchr("-0123456789", *value.at)) return false;
  memcpy(digits, value.at, len);
  digits[len] = 0;
  *number = strtod(digits, &end);
  // It would take other bases, too.
  return *end == 0 && !strpbrk(digits, "xX") && isfinite(*number);
}

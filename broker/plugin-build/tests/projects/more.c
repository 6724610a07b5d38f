// What the templates in C do not use.

#include "tidegate.h"

static tg_string_t greeting;
static bool is_loud;

void plugin_on_timer(uint64_t token) {
  tg_config_text("greeting", &greeting);
  tg_config_bool("loud", &is_loud);
  tg_log(TG_INFO, "%.*s %d", TG_ARG(greeting), (int)token);
}

void plugin_on_event(const tg_event_t *event) { printf("%.*s\n", TG_ARG(event->kind)); }

void plugin_on_lost(uint64_t events) { printf("%d events were lost\n", (int)events); }

tg_answer_t plugin_select(const tg_message_t *message, const tg_candidates_t *candidates) {
  (void)message;
  uint32_t last = (uint32_t)candidates->len - 1;
  return tg_select_except(&last, candidates->len > 0);
}

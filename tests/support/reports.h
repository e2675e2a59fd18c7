/* Reports of a profile, written into memory and read back: for the tests of export/. Failures end the test.
 */
#ifndef KILN_TESTS_SUPPORT_REPORTS_H
#define KILN_TESTS_SUPPORT_REPORTS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "export/report.h"

#include <jansson.h>

void cleanup_profile(struct profile **profile);
void cleanup_json(json_t **json);
#define _cleanup_profile_ _cleanup_(cleanup_profile)
#define _cleanup_json_	  _cleanup_(cleanup_json)

void assert_no_error(struct error *error);

/* The caller frees it. */
char *write_report(struct profile *profile, struct report_options options);
json_t *parse_report(struct profile *profile, struct report_options options);

/* The value of a path of keys, "cpu.stacks.complete", and of its type. */
json_t *get(json_t *json, const char *field);
int64_t get_count(json_t *json, const char *field);
double get_real(json_t *json, const char *field);
const char *get_text(json_t *json, const char *field);
/* Exactly these keys, in this order. */
void assert_keys(json_t *json, const char *expected);

/* Cells of the longest line. */
size_t get_widest(const char *text);
void assert_contains(const char *text, const char *part);

#endif

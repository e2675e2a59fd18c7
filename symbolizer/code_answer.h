/* The worker's answer to a question about code: one message, made from the module and its file.
 *
 * Ownership: code_answer_create() → code_answer_destroy(). Bounds: an answer is one message, and takes about
 * CODE_ANSWER_MS, besides what the module needs when it is opened and when a unit's lines are first read.
 */
#ifndef KILN_SYMBOLIZER_CODE_ANSWER_H
#define KILN_SYMBOLIZER_CODE_ANSWER_H

#include "base/error.h"
#include "symbolizer/code_message.h"
#include "symbolizer/modules.h"

#include <stddef.h>

#define CODE_ANSWER_MS 50

struct code_answer;

struct error *code_answer_create(struct code_answer **ret);
void code_answer_destroy(struct code_answer *answer); /* NULL accepted */
/* module: NULL when the worker does not have it. The message (struct code_part) lives until the next call. */
const void *code_answer_make(struct code_answer *answer, struct module *module,
			     const struct code_request *request, size_t *ret_length);

#endif

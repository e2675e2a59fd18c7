/* Shared by screen.c and screen_app.c only. */
#ifndef KILN_TESTS_SUPPORT_SCREEN_INTERNAL_H
#define KILN_TESTS_SUPPORT_SCREEN_INTERNAL_H

#include "tests/support/screen.h"

struct screen {
	struct source source; /* first: source_ops get a pointer to it */
	struct source_status status;
	struct screen_calls calls;
	void (*on_saved)(void *arg, struct error *error, const char *path);
	void *on_saved_arg;
	char target[64];
	struct canvas *canvas;
	char *text;
	/* a view alone, or the dashboard */
	struct view *view;
	struct view_context context;
	char pattern[64];
	void *app;
	void (*draw)(struct screen *screen);
	int (*press)(struct screen *screen, uint32_t key);
	void (*destroy)(struct screen *screen);
};

/* With source, status and canvas. */
struct screen *screen_create(struct profile *profile, unsigned columns, unsigned rows);
/* Fails the test with the error's text. */
void screen_check(struct error *error);

#endif

/* The whole dashboard under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/screen_internal.h"
#include "tui/app.h"

static void draw_app(struct screen *screen)
{
	app_draw(screen->app, screen->canvas);
}

static int press_app(struct screen *screen, uint32_t key)
{
	return app_press_key(screen->app, key);
}

static void destroy_app(struct screen *screen)
{
	app_destroy(screen->app);
}

struct screen *screen_create_app(struct profile *profile, const struct app_options *options, unsigned columns,
				 unsigned rows)
{
	static const struct app_options defaults;
	struct screen *screen = screen_create(profile, columns, rows);
	struct app *app;

	screen_check(app_create(&screen->source, options ? options : &defaults, &app));
	screen->app = app;
	screen->draw = draw_app;
	screen->press = press_app;
	screen->destroy = destroy_app;
	return screen;
}

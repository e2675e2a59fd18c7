/* The sample workload of `kiln demo`: a small "image server" with threads, phases, recursion, sorting and
 * hashing, so that every screen has something to show. It ends by itself when its parent is gone. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3
#define WIDTH	192
#define HEIGHT	108

static volatile double sink;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

__attribute__((noinline)) static int mandelbrot_iterate(double cr, double ci, int limit)
{
	double zr = 0, zi = 0;
	int n = 0;

	while (n < limit && zr * zr + zi * zi < 4) {
		double next = zr * zr - zi * zi + cr;

		zi = 2 * zr * zi + ci;
		zr = next;
		n++;
	}
	return n;
}

__attribute__((noinline)) static void render_tile(unsigned char *pixels, double zoom)
{
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++)
			pixels[y * WIDTH + x] = (unsigned char)mandelbrot_iterate(
				-0.7436 + (x - WIDTH / 2) / zoom, 0.1318 + (y - HEIGHT / 2) / zoom, 60);
	}
}

__attribute__((noinline)) static void blur_rows(unsigned char *pixels)
{
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 2; x < WIDTH - 2; x++) {
			unsigned char *p = pixels + y * WIDTH + x;

			*p = (unsigned char)((p[-2] + 2 * p[-1] + 3 * p[0] + 2 * p[1] + p[2]) / 9);
		}
	}
}

__attribute__((noinline)) static uint64_t checksum(const unsigned char *bytes, size_t length)
{
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 1099511628211ull;
	return hash;
}

static int compare_bytes(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

__attribute__((noinline)) static double median_brightness(const unsigned char *pixels)
{
	unsigned char *copy = malloc(WIDTH * HEIGHT);
	double median;

	if (!copy)
		return 0;
	memcpy(copy, pixels, WIDTH * HEIGHT);
	qsort(copy, WIDTH * HEIGHT, 1, compare_bytes);
	median = copy[WIDTH * HEIGHT / 2];
	free(copy);
	return median;
}

__attribute__((noinline)) static double build_quadtree(const unsigned char *pixels, int x, int y, int size)
{
	double sum = 0;

	if (size <= 3)
		return sqrt(pixels[y * WIDTH + x]);
	size /= 2;
	sum += build_quadtree(pixels, x, y, size);
	sum += build_quadtree(pixels, x + size, y, size);
	sum += build_quadtree(pixels, x, y + size, size);
	sum += build_quadtree(pixels, x + size, y + size, size);
	return sum;
}

__attribute__((noinline)) static void handle_request(unsigned char *pixels, unsigned number)
{
	render_tile(pixels, 400 + number % 64 * 50);
	for (int i = 0; i < 12; i++)
		blur_rows(pixels);
	for (int i = 0; i < 25; i++)
		sink += (double)checksum(pixels, WIDTH * HEIGHT);
	sink += median_brightness(pixels);
	for (int i = 0; i < 60; i++)
		sink += build_quadtree(pixels, 0, 0, 96);
}

/* Load comes in waves: busy seconds and quiet ones, a little out of step from worker to worker. */
static void *serve(void *arg)
{
	static unsigned char pixels[WORKERS][WIDTH * HEIGHT];
	unsigned worker = (unsigned)(uintptr_t)arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", worker);
	prctl(PR_SET_NAME, name);
	for (unsigned number = worker;; number++) {
		double wave = sin(seconds() * 0.6 + worker) + 1.1;

		handle_request(pixels[worker], number);
		usleep((useconds_t)(20000 / (wave + 0.1)));
	}
	return NULL;
}

int main(void)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, serve, (void *)(uintptr_t)i))
			return 1;
	}
	for (;;)
		pause();
}

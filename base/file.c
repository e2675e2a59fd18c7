#include "base/file.h"

#include <errno.h>
#include <unistd.h>

size_t file_read_at(int fd, uint64_t offset, void *ret, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = pread(fd, (char *)ret + done, length - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

/* Preloaded into a process: while the file $STALL_FILE exists, what writes or syncs a file whose name
   has "/journal." in it stands still, as on a disk that does not answer. Once somebody waits, the
   file $STALL_FILE.held is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void stand_still(int descriptor)
{
    const char *file = getenv("STALL_FILE");
    char link[64], name[4096];
    ssize_t length;

    if (file == NULL || access(file, F_OK) != 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, name, sizeof name - 1);
    if (length < 0)
        return;
    name[length] = 0;
    if (strstr(name, "/journal.") == NULL)
        return;
    snprintf(name, sizeof name, "%s.held", file);
    close(open(name, O_CREAT | O_WRONLY, 0600));
    while (access(file, F_OK) == 0)
        usleep(2000);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset)
{
    stand_still(descriptor);
    return REAL(pwrite)(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset)
{
    stand_still(descriptor);
    return REAL(pwrite64)(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    stand_still(descriptor);
    return REAL(write)(descriptor, bytes, count);
}

int ftruncate64(int descriptor, off64_t length)
{
    stand_still(descriptor);
    return REAL(ftruncate64)(descriptor, length);
}

int fsync(int descriptor)
{
    stand_still(descriptor);
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor)
{
    stand_still(descriptor);
    return REAL(fdatasync)(descriptor);
}

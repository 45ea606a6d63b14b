/* Preloaded in front of the system's library: writes down what is done to the files below $RECORDED, into $RECORD.

   A record is what was done (one letter), the length of the path, an offset, the length of the data, path and data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;

static void note(char what, const char *path, uint64_t offset, const void *data, uint64_t size) {
    const char *below = getenv("RECORDED");
    if (!below || strncmp(path, below, strlen(below))) return;
    pthread_mutex_lock(&turn);
    if (record < 0) record = REAL(open)(getenv("RECORD"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct { uint64_t what, path, offset, size; } head = {(unsigned char)what, strlen(path), offset, size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, strlen(path)}, {(void *)data, size}};
    if (writev(record, parts, 3) < 0) abort();
    pthread_mutex_unlock(&turn);
}

static void note_of(int fd, char what, uint64_t offset, const void *data, uint64_t size) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    note(what, path, offset, data, size);
}

static int opened(const char *path, int flags, int mode) {
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    int fd = REAL(open)(path, flags, mode);
    if (fd >= 0 && is_new) note('C', path, 0, 0, 0);
    return fd;
}

#define OPEN(name)                                             \
    int name(const char *path, int flags, ...) {               \
        va_list more;                                          \
        va_start(more, flags);                                 \
        int mode = va_arg(more, int);                          \
        va_end(more);                                          \
        return opened(path, flags, mode);                      \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(name, type)                                                      \
    ssize_t name(int fd, const void *data, size_t size, type offset) {          \
        ssize_t written = REAL(name)(fd, data, size, offset);                   \
        if (written > 0) note_of(fd, 'W', offset, data, written);               \
        return written;                                                         \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t written = REAL(write)(fd, data, size);
    if (written > 0) note_of(fd, 'W', lseek(fd, 0, SEEK_CUR) - written, data, written);
    return written;
}

#define TRUNCATE(name, type)                                   \
    int name(int fd, type size) {                              \
        int failed = REAL(name)(fd, size);                     \
        if (!failed) note_of(fd, 'T', size, 0, 0);             \
        return failed;                                         \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                             \
    int name(int fd) {                                         \
        int failed = REAL(name)(fd);                           \
        if (!failed) note_of(fd, 'S', 0, 0, 0);                \
        return failed;                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    int failed = REAL(unlink)(path);
    if (!failed) note('U', path, 0, 0, 0);
    return failed;
}

int mkdir(const char *path, mode_t mode) {
    int failed = REAL(mkdir)(path, mode);
    if (!failed) note('D', path, 0, 0, 0);
    return failed;
}

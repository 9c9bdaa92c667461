/* A disk that fails when it is told to: preloaded before the C library.
 *
 * disk_arm(folder, nth, error, for_good) makes the nth change below the folder fail, counted from
 * 1, and with for_good every one after it. A write takes half of what it is given first, as a disk
 * does that fills up. disk_count() tells how many changes there were since.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int nth, error_number, for_good;
static int count, fails_next;

void disk_arm(const char *path, int at, int error, int every_one) {
    strncpy(folder, path, sizeof folder - 1);
    nth = at, error_number = error, for_good = every_one;
    __atomic_store_n(&fails_next, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&count, 0, __ATOMIC_SEQ_CST);
}

int disk_count(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && path && !strncmp(path, folder, length);
}

static int is_file_below(int descriptor) {
    char name[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Whether this change fails; counts it. */
static int fails(void) {
    int number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (number == nth || (for_good && nth && number > nth) ||
        __atomic_exchange_n(&fails_next, 0, __ATOMIC_SEQ_CST)) {
        errno = error_number;
        return 1;
    }
    return 0;
}

#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

static ssize_t half(ssize_t written) {
    if (written > 0 && !for_good) __atomic_store_n(&fails_next, 1, __ATOMIC_SEQ_CST);
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = REAL(ssize_t, write, int, const void *, size_t);
    if (is_file_below(descriptor) && fails())
        return size > 1 ? half(real(descriptor, bytes, size / 2)) : -1;
    return real(descriptor, bytes, size);
}

#define PWRITE(name, offset_type)                                                        \
    ssize_t name(int descriptor, const void *bytes, size_t size, offset_type offset) {   \
        ssize_t (*real)(int, const void *, size_t, offset_type) =                        \
            REAL(ssize_t, name, int, const void *, size_t, offset_type);                 \
        if (is_file_below(descriptor) && fails())                                        \
            return size > 1 ? half(real(descriptor, bytes, size / 2, offset)) : -1;      \
        return real(descriptor, bytes, size, offset);                                    \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define ON_DESCRIPTOR(name)                                                              \
    int name(int descriptor) {                                                           \
        if (is_file_below(descriptor) && fails()) return -1;                             \
        return REAL(int, name, int)(descriptor);                                         \
    }
ON_DESCRIPTOR(fsync)
ON_DESCRIPTOR(fdatasync)

#define TRUNCATE(name, offset_type)                                                      \
    int name(int descriptor, offset_type size) {                                         \
        if (is_file_below(descriptor) && fails()) return -1;                             \
        return REAL(int, name, int, offset_type)(descriptor, size);                      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    if (is_below(to) && fails()) return -1;
    return REAL(int, rename, const char *, const char *)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    if ((*to == '/' ? is_below(to) : is_file_below(to_folder)) && fails()) return -1;
    return REAL(int, renameat, int, const char *, int, const char *)(from_folder, from, to_folder, to);
}

int mkdir(const char *path, mode_t mode) {
    if (is_below(path) && fails()) return -1;
    return REAL(int, mkdir, const char *, mode_t)(path, mode);
}

/* Making a file takes room too. */
#define OPEN(name)                                                                       \
    int name(const char *path, int flags, ...) {                                         \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;          \
        va_end(rest);                                                                    \
        if (flags & O_CREAT && is_below(path) && access(path, F_OK) && fails()) return -1; \
        return REAL(int, name, const char *, int, ...)(path, flags, mode);               \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                     \
    int name(int at, const char *path, int flags, ...) {                                 \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;          \
        va_end(rest);                                                                    \
        if (flags & O_CREAT && (*path == '/' ? is_below(path) : is_file_below(at)) &&    \
            faccessat(at, path, F_OK, 0) && fails())                                     \
            return -1;                                                                   \
        return REAL(int, name, int, const char *, int, ...)(at, path, flags, mode);      \
    }
OPENAT(openat)
OPENAT(openat64)

// Loaded in front of libc: makes file operations fail or wait, by the rules in the file that FAULTS names. While that
// file is not there, all goes well. One rule a line, of four words:
//
//     call[,call...]  part-of-the-path  effect  number
//
// Calls are write, pwrite, fsync, fdatasync, ftruncate, rename and create. The effect is the name of an error, which
// the call returns after `number` others that the rule let through; `delay`, milliseconds before the call is made; or
// `stall`, which holds the call for as long as the file of the rules is there. The first rule that fits counts.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES 8

static atomic_long let_through[RULES];

static int error_number(const char *name) {
    static const struct { const char *name; int number; } errors[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, name) == 0) return errors[i].number;
    return EINVAL;
}

static int there(const char *path) {
    return path != NULL && syscall(SYS_access, path, F_OK) == 0;
}

static int is_one_of(const char *call, const char *calls) {
    size_t length = strlen(call);
    for (const char *at = calls; (at = strstr(at, call)) != NULL; at += length) {
        int begins = at == calls || at[-1] == ',';
        if (begins && (at[length] == ',' || at[length] == 0)) return 1;
    }
    return 0;
}

// The error that `call` on `path` is to fail with, or 0, after the wait that a rule asks for.
static int fault(const char *call, const char *path) {
    char text[2048], calls[128], part[256], effect[16];
    const char *rules = getenv("FAULTS");
    int file = there(rules) ? (int)syscall(SYS_openat, AT_FDCWD, rules, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    long size = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    text[size > 0 ? size : 0] = 0;
    char *rest = text;
    for (int rule = 0; rule < RULES; rule++) {
        char *line = strsep(&rest, "\n");
        long number;
        if (line == NULL) return 0;
        if (sscanf(line, "%127s %255s %15s %ld", calls, part, effect, &number) != 4) continue;
        if (!is_one_of(call, calls) || strstr(path, part) == NULL) continue;
        if (strcmp(effect, "delay") == 0) {
            usleep((useconds_t)number * 1000);
            return 0;
        }
        if (strcmp(effect, "stall") == 0) {
            while (there(rules)) usleep(1000);
            return 0;
        }
        return atomic_fetch_add(&let_through[rule], 1) < number ? 0 : error_number(effect);
    }
    return 0;
}

static int fault_of(const char *call, int descriptor) {
    char link[64], path[512];
    if (!there(getenv("FAULTS"))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fault(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// Defines a function that may fail before the one of libc is called.
#define GUARDED(result, name, parameters, broken, arguments)  \
    result name parameters {                                  \
        static __typeof__(&name) real;                        \
        int before = errno, error = broken;                   \
        if (error != 0) { errno = error; return -1; }         \
        errno = before;                                       \
        if (real == NULL) real = REAL(name);                  \
        return real arguments;                                \
    }

GUARDED(ssize_t, write, (int d, const void *bytes, size_t n), fault_of("write", d), (d, bytes, n))
GUARDED(ssize_t, pwrite64, (int d, const void *bytes, size_t n, off64_t at), fault_of("pwrite", d), (d, bytes, n, at))
GUARDED(int, fsync, (int d), fault_of("fsync", d), (d))
GUARDED(int, fdatasync, (int d), fault_of("fdatasync", d), (d))
GUARDED(int, ftruncate64, (int d, off64_t length), fault_of("ftruncate", d), (d, length))
GUARDED(int, rename, (const char *from, const char *to), fault("rename", to), (from, to))

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int before = errno, error = flags & O_CREAT && !there(path) ? fault("create", path) : 0;
    if (error != 0) { errno = error; return -1; }
    errno = before;
    if (real == NULL) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    return real(path, flags, mode);
}

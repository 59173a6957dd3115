// Loaded in front of libc: fdatasync fails once the file that FAILING_SYNC names is there. A disk that cannot
// write says so in just this way, and may say it only once.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int descriptor) {
    static int (*synced)(int);
    const char *trigger = getenv("FAILING_SYNC");
    if (trigger != NULL && access(trigger, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    if (synced == NULL) {
        synced = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    return synced(descriptor);
}

// Loaded in front of libc: fdatasync fails once the file that FAILING_SYNC names is there. A disk that cannot
// write says so in just this way, and may say it only once. While the file that STALLING_SYNC names is there,
// fdatasync does not return: a disk that is busy.
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
    const char *stall = getenv("STALLING_SYNC");
    while (stall != NULL && access(stall, F_OK) == 0) {
        usleep(1000);
    }
    if (synced == NULL) {
        synced = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    return synced(descriptor);
}

/* dlerror(): a thread's last message, of this code or of the C library. */
#include "image/image.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct message {
    char *text;     /* NULL: none that has not been asked for */
    char *returned; /* by the last call, good until the next */
};

static _Thread_local struct message message;
static pthread_key_t key;
static bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
free_message(void *arg)
{
    struct message *mine = arg;
    free(mine->text);
    free(mine->returned);
    *mine = (struct message){0};
}

static void
create_key(void)
{
    has_key = pthread_key_create(&key, free_message) == 0;
}

void
kiln_image_drop_message(void)
{
    if (message.text != NULL) { /* free() may not be ready, see find.c */
        free(message.text);
        message.text = NULL;
    }
}

void
kiln_image_clear_message(void)
{
    kiln_image_drop_message();
    kiln_libc_get()->dlerror();
}

void
kiln_image_set_message(const char *format, ...)
{
    va_list args;
    kiln_image_clear_message();
    pthread_once(&once, create_key);
    if (has_key) { /* else it is not freed */
        pthread_setspecific(key, &message);
    }
    va_start(args, format);
    if (vasprintf(&message.text, format, args) < 0) {
        message.text = NULL;
    }
    va_end(args);
}

char *
kiln_image_dlerror(void)
{
    free(message.returned);
    message.returned = message.text;
    message.text = NULL;
    return message.returned != NULL ? message.returned : kiln_libc_get()->dlerror();
}

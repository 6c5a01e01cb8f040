/* SPDX-License-Identifier: Apache-2.0
 *
 * write_jpeg.c - see write_jpeg.h. libjpeg leaves by longjmp; see read_png.c.
 */
#include "write_jpeg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <jpeglib.h>
#include <jerror.h>

#define QUALITY 85 /* state-and-scheduling 14 */
#define BUFFER_BYTES 65536u

struct fl_lr_writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr target;
    jmp_buf mark;
    int fd;
    int32_t code;
    char text[JMSG_LENGTH_MAX];
    JOCTET buffer[BUFFER_BYTES];
};

static fl_lr_writer *writer_of(j_compress_ptr jpeg)
{
    return jpeg->client_data;
}

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
    fl_lr_writer *writer = jpeg->client_data;
    jpeg->err->format_message(jpeg, writer->text);
    writer->code = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? FLAMENCO_E_NOMEM : FLAMENCO_E_INTERNAL;
    longjmp(writer->mark, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    (void)jpeg;
    (void)level;
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void write_out(fl_lr_writer *writer, size_t len)
{
    const JOCTET *at = writer->buffer;
    while (len > 0) {
        ssize_t n = write(writer->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int number = n < 0 ? errno : ENOSPC;
            char text[80];
            writer->code = number == ENOSPC || number == EDQUOT || number == EFBIG ? FLAMENCO_E_FULL : FLAMENCO_E_IO;
            snprintf(writer->text, sizeof(writer->text), "%s", strerror_r(number, text, sizeof(text)));
            longjmp(writer->mark, 1);
        }
        at += n;
        len -= (size_t)n;
    }
}

static void begin_buffer(j_compress_ptr jpeg)
{
    jpeg->dest->next_output_byte = writer_of(jpeg)->buffer;
    jpeg->dest->free_in_buffer = BUFFER_BYTES;
}

/* libjpeg counts on the whole buffer here, whatever it says is free. */
static boolean flush_buffer(j_compress_ptr jpeg)
{
    write_out(writer_of(jpeg), BUFFER_BYTES);
    begin_buffer(jpeg);
    return TRUE;
}

static void end_buffer(j_compress_ptr jpeg)
{
    write_out(writer_of(jpeg), BUFFER_BYTES - jpeg->dest->free_in_buffer);
}

static int32_t fail(const fl_lr_writer *writer, flamenco_error *err)
{
    return flamenco_fail(err, writer->code, "%s", writer->text);
}

static int32_t begin(fl_lr_writer *writer, uint32_t width, uint32_t height, flamenco_error *err)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;
    if (setjmp(writer->mark) != 0)
        return fail(writer, err);
    jpeg_create_compress(jpeg);
    writer->target = (struct jpeg_destination_mgr){ .init_destination = begin_buffer,
                                                    .empty_output_buffer = flush_buffer,
                                                    .term_destination = end_buffer };
    jpeg->dest = &writer->target;
    jpeg->image_width = width;
    jpeg->image_height = height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, QUALITY, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    return FLAMENCO_OK;
}

int32_t fl_lr_writer_create(int fd, uint32_t width, uint32_t height, fl_lr_writer **out, flamenco_error *err)
{
    fl_lr_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to write an image");
    writer->fd = fd;
    writer->jpeg.err = jpeg_std_error(&writer->errors);
    writer->jpeg.client_data = writer; /* jpeg_create_compress keeps it, and may fail */
    writer->errors.error_exit = on_error;
    writer->errors.emit_message = on_message;
    writer->errors.output_message = on_output;
    int32_t rc = begin(writer, width, height, err);
    if (rc == FLAMENCO_OK)
        *out = writer;
    else
        fl_lr_writer_destroy(writer);
    return rc;
}

int32_t fl_lr_writer_row(fl_lr_writer *writer, const uint8_t *rgb, flamenco_error *err)
{
    JSAMPROW row;
    if (setjmp(writer->mark) != 0)
        return fail(writer, err);
    memcpy(&row, &rgb, sizeof(row)); /* libjpeg does not write to it, but knows no const */
    (void)jpeg_write_scanlines(&writer->jpeg, &row, 1);
    return FLAMENCO_OK;
}

int32_t fl_lr_writer_end(fl_lr_writer *writer, flamenco_error *err)
{
    if (setjmp(writer->mark) != 0)
        return fail(writer, err);
    jpeg_finish_compress(&writer->jpeg);
    return FLAMENCO_OK;
}

void fl_lr_writer_destroy(fl_lr_writer *writer)
{
    if (writer == NULL)
        return;
    jpeg_destroy_compress(&writer->jpeg);
    free(writer);
}

"""`image.process`. Whoever sends a picture is not trusted, and the decoders are C code that is attacked every year.

What must hold
    A file is what its bytes say, one of four formats. Nothing is decoded that is larger than the limit, and nothing
    that is not whole. Nothing of the file but its pixels reaches a result. Wrong input ends the job at once, in a
    sentence that names field and reason.

Who sees to it
    `payload`    what may be asked for; refused with 422 when the job is made.
    `fetching`   the bytes: a stored file, or `core.outgoing`, which refuses inner addresses.
    `formats`    reads the structure of a file in our own bounded code: size, wholeness, orientation. It hands on a
                 copy without metadata, so that Pillow's parsers for EXIF, XMP, text, thumbnails and further frames never
                 run, and a result cannot take along what was never there.
    `decoding`   Pillow, told to open this one format only. Pixels become grey, RGB or RGBA, in sRGB, upright.
    `geometry`   sizes and crops as numbers; the limit holds for what is made, too.
    `pipeline`   the operations in order; `encoding` writes pixels, and nothing else, into files.

What it costs
    8 to 11 bytes for each pixel of PNG, JPEG and GIF, measured; WebP takes 17 and may have half the pixels. A JPEG that
    is only made smaller is decoded smaller, and takes a fraction.
"""

from apps.jobs.types.image import handler

__all__ = ["handler"]

/* SPDX-License-Identifier: Apache-2.0
 *
 * reference_internal.h - what the writer of manager.yaml (render.c) shares with that of flamenco-manager.yaml.
 */
#ifndef FL_CONFIG_REFERENCE_INTERNAL_H
#define FL_CONFIG_REFERENCE_INTERNAL_H

#include "core/config/reference.h"

/* Writes a text as a YAML scalar, quoted where it must be; flow: it stands in [a, b], or is a key. */
void fl_reference_yaml_text(fl_buf *out, flamenco_str text, int flow);

/* Writes all keys but _meta at their defaults, every line commented out, with what they mean. */
void fl_reference_yaml_commented(fl_buf *out);

#endif

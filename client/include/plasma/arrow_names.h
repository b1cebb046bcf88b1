// Arrow's names for what programs written for Plasma use of Arrow, and the two that Plasma's headers put outside of
// every namespace. For programs without Arrow: include this instead of arrow/buffer.h and arrow/status.h, or give the
// compiler "-include plasma/arrow_names.h".
#pragma once

#include <plasma/buffer.h>
#include <plasma/status.h>

namespace arrow {
using plasma::Buffer;
using plasma::MutableBuffer;
using plasma::SliceBuffer;
using plasma::SliceMutableBuffer;
using plasma::Status;
using plasma::StatusCode;
}  // namespace arrow

using plasma::Buffer;
using plasma::Status;

#define ARROW_RETURN_NOT_OK(expression) RETURN_NOT_OK(expression)
#define ARROW_CHECK_OK(expression)                               \
  do {                                                           \
    const ::plasma::Status raylet_status_ = (expression);        \
    if (!raylet_status_.ok()) raylet_status_.Abort(#expression); \
  } while (false)

// The library's view and writer inside of those of the public interface.
#pragma once

#include <plasma/object_view.h>

#include "client/plasma/object_writer.h"
#include "client/plasma/pinned_object.h"

namespace plasma {

struct ObjectView::Impl {
  raylet::client::PinnedObject view;
};
struct ObjectWriter::Impl {
  raylet::client::ObjectWriter writer;
};

}  // namespace plasma

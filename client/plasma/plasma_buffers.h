// The buffers that a PlasmaClient hands out, and what each keeps alive.
#pragma once

#include <plasma/buffer.h>

#include <memory>

#include "client/plasma/object_writer.h"
#include "client/plasma/pinned_object.h"

namespace plasma {

// An object from its Create on. Unsealed, it has the writer, which aborts when nobody has the creation any more. Sealed
// while it was held, it has a pin until the Release of its Create.
struct Creation {
  raylet::client::ObjectWriter writer;
  raylet::client::PinnedObject view;
};

// The memory that the writer writes. The buffer keeps it mapped, and holds no object: a hold ends with its Release.
std::shared_ptr<Buffer> BufferOf(const raylet::client::ObjectWriter& writer);

// Data and metadata of a sealed object; the last buffer releases it.
ObjectBuffer ReleasingBuffers(raylet::client::PinnedObject view);
// Of an object that somebody else holds. They keep the memory mapped, also after the end of the hold.
ObjectBuffer PlainBuffers(const raylet::client::PinnedObject& view);

}  // namespace plasma

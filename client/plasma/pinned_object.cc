#include "client/plasma/pinned_object.h"

#include <utility>

#include "client/plasma/store_session.h"

namespace raylet::client {

PinnedObject& PinnedObject::operator=(PinnedObject&& other) noexcept {
  if (this != &other) {
    Release();
    session_ = std::move(other.session_);
    data_ = other.data_;
    metadata_ = other.metadata_;
    data_bytes_ = other.data_bytes_;
    metadata_bytes_ = other.metadata_bytes_;
    slot_ = other.slot_;
    id_ = other.id_;
  }
  return *this;
}

std::shared_ptr<const void> PinnedObject::memory() const { return session_ == nullptr ? nullptr : session_->memory(); }

void PinnedObject::Release() {
  if (const auto session = std::move(session_)) session->Unpin(slot_);
  data_ = metadata_ = nullptr;
  data_bytes_ = metadata_bytes_ = 0;
}

}  // namespace raylet::client

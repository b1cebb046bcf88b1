#include "client/plasma/plasma_views.h"

#include <new>
#include <utility>

#include "client/plasma/plasma_status.h"

namespace plasma {

using raylet::client::StatusOf;

ObjectView::Impl& ObjectView::impl() {
  static_assert(sizeof(Impl) <= sizeof place_ && alignof(Impl) <= alignof(decltype(data_)));
  return *std::launder(reinterpret_cast<Impl*>(place_));
}

ObjectView::ObjectView() = default;

ObjectView::ObjectView(ObjectView&& other) noexcept { *this = std::move(other); }

ObjectView& ObjectView::operator=(ObjectView&& other) noexcept {
  if (this == &other) return *this;
  Release();
  status_ = std::move(other.status_);
  if (!other.held_) return *this;
  new (place_) Impl{std::move(other.impl().view)};
  held_ = true;
  data_ = other.data_;
  metadata_ = other.metadata_;
  other.Release();
  return *this;
}

ObjectView::~ObjectView() {
  if (held_) impl().~Impl();
}

void ObjectView::Release() {
  if (std::exchange(held_, false)) impl().~Impl();
  data_ = {};
  metadata_ = {};
}

ObjectWriter::ObjectWriter() = default;
ObjectWriter::ObjectWriter(ObjectWriter&& other) noexcept = default;
ObjectWriter& ObjectWriter::operator=(ObjectWriter&& other) noexcept = default;
ObjectWriter::~ObjectWriter() = default;

Status ObjectWriter::Seal() && {
  const auto impl = std::move(impl_);
  if (impl == nullptr)
    return Status::Invalid("this writer holds no object: it failed, or was sealed or aborted before");
  return StatusOf(std::move(impl->writer).Seal());
}

Status ObjectWriter::Abort() && {
  const auto impl = std::move(impl_);
  if (impl == nullptr)
    return Status::Invalid("this writer holds no object: it failed, or was sealed or aborted before");
  return StatusOf(std::move(impl->writer).Abort());
}

}  // namespace plasma

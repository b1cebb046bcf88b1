#include "client/ray/cluster/store_array.h"

#include <utility>

#include <ray/api/exceptions.h>

#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/store_access.h"

namespace raylet::client {

StoreArray::StoreArray(const ObjectParts& parts, ObjectWriter writer)
    : ArrayStorage(&parts),
      use_(parts.link.uses()),
      parts_(parts),
      id_(writer.id()),
      owned_(true),
      writer_(std::move(writer)) {}

StoreArray::StoreArray(const ObjectParts& parts, PinnedObject view, ray::internal::Hold lend)
    : ArrayStorage(&parts),
      use_(parts.link.uses()),
      parts_(parts),
      id_(view.id()),
      owned_(false),
      view_(std::move(view)),
      lend_(std::move(lend)) {}

StoreArray::~StoreArray() {
  const bool in_store = owned_ && sealed();
  view_.Release();  // first, so that the delete frees it at once
  if (!parts_.link.Usable()) return;
  parts_.ownership.ForgetArray(id_);
  if (in_store) parts_.store.Delete(id_);
}

const void* StoreArray::data() const { return sealed() ? view_.data().data() : writer_.data().data(); }
void* StoreArray::mutable_data() { return sealed() ? nullptr : writer_.data().data(); }
size_t StoreArray::size_bytes() const { return sealed() ? view_.data().size() : writer_.data().size(); }

void StoreArray::Seal() {
  if (sealed()) throw ray::internal::RayException("this array is sealed already");
  if (std::exchange(tried_, true))
    throw ray::internal::RayException("this array could not be sealed before, and has been given up: allocate another");
  auto view = std::move(writer_).SealAndView();
  if (!view) throw ray::internal::RayException(view.error().message);
  view_ = *std::move(view);
}

}  // namespace raylet::client

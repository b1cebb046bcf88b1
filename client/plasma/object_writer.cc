#include "client/plasma/object_writer.h"

#include <utility>

#include "base/check.h"
#include "client/plasma/store_session.h"

namespace raylet::client {
namespace {

// Its writer takes an object whose seal was not answered for unsealed, and nobody would delete it.
Result<void> SealOrDelete(StoreSession& session, const ObjectId& id) {
  auto sealed = session.Seal(id);
  if (!sealed && sealed.error().code == ErrorCode::kTimedOut) session.DeleteAsync(id);
  return sealed;
}

}  // namespace

ObjectWriter::ObjectWriter(ObjectWriter&& other) noexcept = default;

ObjectWriter& ObjectWriter::operator=(ObjectWriter&& other) noexcept {
  std::swap(session_, other.session_);
  std::swap(data_, other.data_);
  std::swap(metadata_, other.metadata_);
  std::swap(data_bytes_, other.data_bytes_);
  std::swap(metadata_bytes_, other.metadata_bytes_);
  std::swap(slot_, other.slot_);
  std::swap(id_, other.id_);
  return *this;
}

ObjectWriter::~ObjectWriter() {
  if (session_ == nullptr) return;
  Unpin();
  if (!session_->InChild()) session_->AbortAsync(id_);
}

void ObjectWriter::Unpin() {
  if (slot_ != StoreSession::kNoSlot) session_->Unpin(std::exchange(slot_, StoreSession::kNoSlot));
}

std::shared_ptr<StoreSession> ObjectWriter::Take() {
  RAYLET_CHECK(session_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  Unpin();
  return std::exchange(session_, nullptr);
}

Result<void> ObjectWriter::Seal() && { return SealOrDelete(*Take(), id_); }

Result<void> ObjectWriter::SealAsync() && { return Take()->SealAsync(id_); }

Result<void> ObjectWriter::Abort() && { return Take()->Abort(id_); }

void ObjectWriter::Detach() && { Take(); }

Result<ObjectView> ObjectWriter::SealAndView() && {
  RAYLET_CHECK(session_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  Result<ObjectView> outcome;
  if (auto sealed = SealOrDelete(*session_, id_); sealed)
    outcome = StoreSession::ViewOfSealed(std::move(*this));
  else
    outcome = Fail(std::move(sealed).error());
  Take();
  return outcome;
}

}  // namespace raylet::client

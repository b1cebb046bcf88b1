#include "client/plasma/object_writer.h"

#include <utility>

#include "base/check.h"
#include "base/strings.h"
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
  std::swap(arena_, other.arena_);
  std::swap(data_, other.data_);
  std::swap(metadata_, other.metadata_);
  std::swap(data_bytes_, other.data_bytes_);
  std::swap(metadata_bytes_, other.metadata_bytes_);
  std::swap(slot_, other.slot_);
  std::swap(id_, other.id_);
  return *this;
}

ObjectWriter::~ObjectWriter() {
  if (arena_ == nullptr) return;
  const auto session = Take();
  if (session && !(*session)->InChild()) (*session)->AbortAsync(id_);
}

Result<std::shared_ptr<StoreSession>> ObjectWriter::Take() {
  RAYLET_CHECK(arena_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  arena_.reset();
  auto session = std::exchange(session_, {}).lock();
  if (session == nullptr)
    return Fail(ErrorCode::kDisconnected,
                StrCat("object ", id_.hex(), " was aborted, because the client that wrote it ",
                       "was disconnected: create it anew"));
  if (slot_ != StoreSession::kNoSlot) session->Unpin(std::exchange(slot_, StoreSession::kNoSlot));
  return session;
}

Result<void> ObjectWriter::Seal() && {
  const auto session = Take();
  return session ? SealOrDelete(**session, id_) : Fail(session.error());
}

Result<void> ObjectWriter::SealAsync() && {
  const auto session = Take();
  return session ? (*session)->SealAsync(id_) : Fail(session.error());
}

Result<void> ObjectWriter::Abort() && {
  const auto session = Take();
  return session ? (*session)->Abort(id_) : Fail(session.error());
}

void ObjectWriter::Detach() && { static_cast<void>(Take()); }

Result<PinnedObject> ObjectWriter::SealAndView() && {
  RAYLET_CHECK(arena_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  const uint32_t slot = std::exchange(slot_, StoreSession::kNoSlot);  // the view takes it over
  const auto session = Take();
  if (!session) return Fail(session.error());
  if (auto sealed = SealOrDelete(**session, id_); !sealed) {
    if (slot != StoreSession::kNoSlot) (*session)->Unpin(slot);
    return Fail(std::move(sealed).error());
  }
  return StoreSession::ViewOfSealed(*session, *this, slot);
}

}  // namespace raylet::client

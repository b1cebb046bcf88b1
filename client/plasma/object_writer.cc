#include "client/plasma/object_writer.h"

#include <cstring>
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
  std::swap(evict_if_full_, other.evict_if_full_);
  std::swap(owned_, other.owned_);
  std::swap(owner_, other.owner_);
  std::swap(restored_, other.restored_);
  return *this;
}

ObjectWriter::~ObjectWriter() {
  if (arena_ == nullptr) return;
  const auto session = Take();
  if (!session) return;
  if (!(*session)->InChild()) (*session)->AbortAsync(id_);
  Unpin(**session);
}

Result<std::shared_ptr<StoreSession>> ObjectWriter::Take() {
  RAYLET_CHECK(arena_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  arena_.reset();
  auto session = std::exchange(session_, {}).lock();
  if (session == nullptr)
    return Fail(ErrorCode::kDisconnected,
                StrCat("object ", id_.hex(), " was aborted, because the client that wrote it ",
                       "was disconnected: create it anew"));
  return session;
}

void ObjectWriter::Unpin(StoreSession& session) {
  if (slot_ != StoreSession::kNoSlot) session.Unpin(std::exchange(slot_, StoreSession::kNoSlot));
}

bool ObjectWriter::WasLost(const StoreSession& session, const Error& why) const {
  return why.code == ErrorCode::kNotFound && slot_ != StoreSession::kNoSlot &&
         const_cast<StoreSession&>(session).connection().restored() != restored_;
}

Result<ObjectWriter> ObjectWriter::WriteAgain(const std::shared_ptr<StoreSession>& session) const {
  CreateOptions options;
  options.evict_if_full = evict_if_full_;
  options.owned = owned_;
  options.owner = owner_;
  auto writer = StoreSession::Create(session, id_, data_bytes_, {metadata_, metadata_bytes_}, options);
  if (writer && data_bytes_ != 0) std::memcpy(writer->data_, data_, data_bytes_);
  return writer;
}

Result<void> ObjectWriter::Seal() && {
  const auto session = Take();
  if (!session) return Fail(session.error());
  auto sealed = SealOrDelete(**session, id_);
  if (!sealed && WasLost(**session, sealed.error())) {
    auto again = WriteAgain(*session);
    sealed = again ? std::move(*again).Seal() : Fail(again.error());
  }
  Unpin(**session);
  return sealed;
}

Result<void> ObjectWriter::SealAsync() && {
  const auto session = Take();
  if (!session) return Fail(session.error());
  Unpin(**session);
  return (*session)->SealAsync(id_);
}

Result<void> ObjectWriter::Abort() && {
  const auto session = Take();
  if (!session) return Fail(session.error());
  Unpin(**session);
  return (*session)->Abort(id_);
}

void ObjectWriter::Detach() && {
  if (const auto session = Take()) Unpin(**session);
}

Result<PinnedObject> ObjectWriter::SealAndView() && {
  RAYLET_CHECK(arena_ != nullptr, "a writer of nothing, or one that was sealed or aborted already");
  const auto session = Take();
  if (!session) return Fail(session.error());
  auto sealed = SealOrDelete(**session, id_);
  if (!sealed && WasLost(**session, sealed.error())) {
    auto again = WriteAgain(*session);
    auto view = again ? std::move(*again).SealAndView() : Fail(std::move(again).error());
    // The caller may still look at the bytes where it wrote them: they stay as long as the view.
    if (view) return StoreSession::AlsoHolding(*session, *std::move(view), std::exchange(slot_, StoreSession::kNoSlot));
    Unpin(**session);
    return view;
  }
  if (!sealed) {
    Unpin(**session);
    return Fail(std::move(sealed).error());
  }
  // The view takes over the pin.
  return StoreSession::ViewOfSealed(*session, *this, std::exchange(slot_, StoreSession::kNoSlot));
}

}  // namespace raylet::client

#include "store/disk_desk.h"

#include <utility>

#include "base/strings.h"
#include "fbs/messages.h"
#include "store/store_server.h"

namespace raylet::store {
namespace {

// Where others may evict, a create without patience is to be refused soon. Where nothing is evicted, every create of a
// full store waits for the disk, as Plasma's does for its external store.
constexpr std::chrono::milliseconds kPatienceOfOwned{500};
constexpr std::chrono::seconds kPatienceOfAll{10};

}  // namespace

DiskDesk::~DiskDesk() {
  if (spiller_ == nullptr) return;
  spiller_->OnRestored({});
  spiller_->OnWrote({});
}

void DiskDesk::SetSpiller(Spiller& spiller) {
  spiller_ = &spiller;
  spiller.OnWrote([this] { server_.AfterRequest(); });
  spiller.OnRestored([this](const ObjectId& id, const Result<void>& outcome) { Restored(id, outcome); });
}

Duration DiskDesk::CreatePatience() const {
  return spiller_->spills_all() ? Duration(kPatienceOfAll) : Duration(kPatienceOfOwned);
}

void DiskDesk::Restore(const RestoreQueue::Request& request, const std::vector<ObjectId>& ids) {
  std::vector<ObjectId> waits;
  for (const ObjectId& id : ids)
    if (server_.store().IsSpilled(id)) waits.push_back(id);
  if (waits.empty()) return Answer(request, {});
  if (spiller_ == nullptr) return Answer(request, Fail(ErrorCode::kNotFound, LostText(waits.front())));
  if (const auto added = restores_.Add(request, waits); !added) return Answer(request, added);
  Serve(/*released=*/true);
}

void DiskDesk::Evict(uint32_t client, uint64_t request_id, uint64_t bytes) {
  if (spiller_ == nullptr || !spiller_->spills_all())
    return ReplyEvicted(client, request_id, server_.store().Evict(bytes));
  evictions_.push_back({client, request_id, bytes, spiller_->left_bytes()});
  if (bytes > 0) spiller_->WantRoom(bytes);
  AnswerEvictions();
}

void DiskDesk::DropClient(uint32_t client) {
  restores_.DropClient(client);
  std::erase_if(evictions_, [client](const Eviction& eviction) { return eviction.client == client; });
}

void DiskDesk::Serve(bool released) {
  AnswerEvictions();
  if (restores_.Empty()) return;
  ObjectStore& store = server_.store();
  if (released || store.bytes_in_reach() > restore_reach_) {
    while (const auto next = restores_.Next()) {
      const ObjectId id = *next;
      const Spiller::Restored restored = spiller_->Restore(id);
      if (restored == Spiller::Restored::kNoRoom) {
        restore_reach_ = store.bytes_in_reach();
        break;
      }
      restore_reach_ = 0;
      if (restored == Spiller::Restored::kUnderWay) {
        restores_.Begun(id);
        continue;
      }
      const Result<void> outcome =
          restored == Spiller::Restored::kLost ? Fail(ErrorCode::kNotFound, LostText(id)) : Result<void>();
      for (const RestoreQueue::Answer& answer : restores_.Ended(id, outcome)) Answer(answer.request, answer.outcome);
    }
  }
  for (const RestoreQueue::Request& expired : restores_.TakeExpired(server_.Now())) Refuse(expired);
}

void DiskDesk::Tick() {
  if (spiller_ != nullptr) spiller_->Tick();
}

void DiskDesk::Refuse(const RestoreQueue::Request& request) {
  FullNumbers numbers;
  server_.store().room().FillFull(0, numbers);
  Answer(request, Fail(ErrorCode::kTimedOut,
                       StrCat("objects on disk were not in memory at the deadline; free ", numbers.free_bytes, " of ",
                              server_.segments().capacity_bytes, ", largest run ", numbers.largest_run_bytes, ", ",
                              numbers.Pinned(), numbers.spilling.empty() ? "" : "; ", numbers.spilling)));
}

void DiskDesk::Restored(const ObjectId& id, const Result<void>& outcome) {
  if (outcome) server_.Sealed(id);
  const Result<void> said = !outcome && server_.store().IsLost(id) ? Fail(ErrorCode::kNotFound, LostText(id)) : outcome;
  for (const RestoreQueue::Answer& answer : restores_.Ended(id, said)) Answer(answer.request, answer.outcome);
  server_.AfterRequest();
}

void DiskDesk::Answer(const RestoreQueue::Request& request, const Result<void>& outcome) {
  if (ClientSession* const session = server_.SessionOf(request.client))
    session->ReplyStatus(request.request_id, outcome);
}

void DiskDesk::AnswerEvictions() {
  for (const Eviction& eviction : std::exchange(evictions_, {})) {
    const uint64_t left = spiller_->left_bytes() - eviction.left_before;
    if (left < eviction.bytes && spiller_->MakesRoom())
      evictions_.push_back(eviction);
    else
      ReplyEvicted(eviction.client, eviction.request_id, left);
  }
}

void DiskDesk::ReplyEvicted(uint32_t client, uint64_t request_id, uint64_t evicted_bytes) {
  ClientSession* const session = server_.SessionOf(client);
  if (session == nullptr || request_id == 0) return;
  wire::EvictReplyT reply;
  reply.status = OkStatus();
  reply.evicted_bytes = evicted_bytes;
  session->Send(wire::StoreMessage::EvictReply, request_id, reply);
}

}  // namespace raylet::store

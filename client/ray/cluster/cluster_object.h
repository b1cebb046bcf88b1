// ClusterObject: one object as this process knows it. Owned: made here, by a Put or as the result of a call; pending
// until Fulfil, which happens once. Borrowed: owned by another process, and found in the store. When the last handle
// goes, an owned object leaves the store, and a borrowed one's lend goes back. Shared by handles and by the calls that
// make or need it; any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "client/ray/api/object_state.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/link_use.h"
#include "fbs/ids.h"

namespace raylet::client {

class Borrowings;
class Ownership;
class Progress;
class RayletLink;
class StoreAccess;

// ObjectParts: the parts that every object of this process works with. Made before the first
// object, and kept while there is one.
struct ObjectParts {
  RayletLink& link;
  Ownership& ownership;
  Borrowings& borrowings;
  Progress& progress;
  StoreAccess& store;
};

enum class ObjectStatus : uint32_t { kPending, kInline, kStored, kFailed };

class ClusterObject final : public ray::internal::ObjectState, public std::enable_shared_from_this<ClusterObject> {
 public:
  ClusterObject(const ObjectParts& parts, const ObjectId& id, bool owned);
  ~ClusterObject() override;

  const ObjectId& id() const { return id_; }
  bool owned() const { return owned_; }
  // Acquire: pairs with Finish's release; what follows may be read once this is not kPending.
  ObjectStatus status() const { return status_.load(std::memory_order_acquire); }
  bool ready() const { return status() != ObjectStatus::kPending; }
  const std::string& bytes() const { return bytes_; }
  const FailurePtr& failure() const { return failure_; }
  // Keeps what the value refers to; of a borrowed object also the object itself. Null: nothing here keeps them.
  ray::internal::Hold lend() const RAYLET_EXCLUDES(mutex_);

  void FulfilInline(std::string bytes, ray::internal::Hold lend);
  void FulfilStored(ray::internal::Hold lend);
  void FulfilFailed(FailurePtr failure);
  // The raylet reports that a borrowed object is lost. Its copy, where there is one here, counts no more.
  void MarkLost(FailurePtr why) RAYLET_EXCLUDES(mutex_);
  // A borrowed object is lent anew. It keeps its first lend, and beside it the first of its owner: an owner's lend
  // keeps the object for certain. Others would hold each other for ever where two processes lend the object to each
  // other.
  bool WantsLend(bool of_owner) const RAYLET_EXCLUDES(mutex_);
  void AddLend(ray::internal::Hold lend, bool of_owner) RAYLET_EXCLUDES(mutex_);
  // As a lend, where nobody lends it. Until it has arrived it keeps nothing: a lend that comes meanwhile does.
  void AddClaim(ray::internal::Hold claim) RAYLET_EXCLUDES(mutex_);
  bool WantsClaim() const RAYLET_EXCLUDES(mutex_) { return !claim_under_way() && WantsLend(/*of_owner=*/false); }
  void MarkClaimArrived() RAYLET_EXCLUDES(mutex_);
  // The owner may not hold it yet for the sake of the claim.
  bool claim_under_way() const { return claim_under_way_.load(std::memory_order_acquire); }

  // Runs the callback once the object is ready: at once, or on the thread that makes it ready.
  void OnReady(std::function<void()> callback) RAYLET_EXCLUDES(mutex_);
  // Its id leaves this process. Others must find the value in the store, now or once there is a value.
  Result<void> Promote() RAYLET_EXCLUDES(mutex_);
  // As above, but it waits for no room in the store: the value comes there once there is some.
  void PromoteSoon() RAYLET_EXCLUDES(mutex_);
  // Writes the value of a promoted object into the store, if there is room right now; false: not yet.
  bool WriteIfThereIsRoom();
  void MarkRegistered() {  // others may look it up by its id
    registered_.store(true, std::memory_order_relaxed);
  }
  bool registered() const { return registered_.load(std::memory_order_relaxed); }
  void MarkOfTask() { of_task_ = true; }     // before anybody else knows it
  bool of_task() const { return of_task_; }  // the result of a task, which may be cancelled
  void MarkOfCall() { of_call_ = true; }     // likewise, of an actor's call
  bool of_call() const { return of_call_; }

 private:
  // False: it was ready already.
  bool Finish(ObjectStatus status, std::string bytes, FailurePtr failure, ray::internal::Hold lend)
      RAYLET_EXCLUDES(mutex_);
  // Whether the value is to be written now. Where it is still to come, it is written once it is there.
  bool BeginPromotion() RAYLET_EXCLUDES(mutex_);
  void WriteSoon();  // takes over one Add of the caller to Progress
  Result<void> WriteToStore(int64_t room_patience_ms);

  const LinkUse use_;  // first: the parts are there until all else has gone
  const ObjectParts& parts_;
  const ObjectId id_;
  const bool owned_;
  bool of_task_ = false;
  bool of_call_ = false;
  std::atomic<bool> registered_{false};
  std::atomic<bool> claim_under_way_{false};                  // set before the claim is seen; see AddClaim
  std::atomic<ObjectStatus> status_{ObjectStatus::kPending};  // stored under mutex_ with the value; see status()
  std::string bytes_;
  FailurePtr failure_;
  ray::internal::Hold lend_;                // of a borrowed object: under mutex_
  ray::internal::Hold owner_lend_;          // the same, of its owner
  ray::internal::Hold lend_until_claimed_;  // the same; lend_ is a claim that is under way
  mutable Mutex mutex_;
  bool promoted_ RAYLET_GUARDED_BY(mutex_) = false;  // in the store, or will be
  std::vector<std::function<void()>> when_ready_ RAYLET_GUARDED_BY(mutex_);
};
using ClusterObjectPtr = std::shared_ptr<ClusterObject>;

// The object behind a handle. They throw where it is of an earlier session.
inline ClusterObject& AsObject(const ObjectParts& parts, const ray::internal::ObjectHandle& handle) {
  ray::internal::CheckSession(*handle, &parts);
  return static_cast<ClusterObject&>(*handle);
}
inline ClusterObjectPtr ObjectOf(const ObjectParts& parts, const ray::internal::ObjectHandle& handle) {
  return AsObject(parts, handle).shared_from_this();
}

}  // namespace raylet::client

// PutPosts: carries out the posts of one client's ring on the store. Owned by a PutRing; loop thread only. No loop and
// no waiting. The ring's bytes are another process's: each is copied once, and checked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/ring.h"
#include "fbs/put_page.h"
#include "store/object_store.h"
#include "store/write_leases.h"

namespace raylet::store {

class PutPosts {
 public:
  // `memory` is a new put page with its ring, zeroed but for the ring's header, of PutPageBytes(). All outlive this.
  static Result<PutPosts> Attach(ObjectStore& store, WriteLeases& leases, uint32_t client, std::span<std::byte> memory);

  // What to do with an object for which there is no room.
  enum class WhenFull {
    kRefuse,
    kTryAgain,  // memory came free
    kWait,      // it will
  };
  // Carries out about `most` posts that come after no more than `frames` messages. The number of those;
  // kProtocolError for a post that makes no sense. The client hears of nothing before Answer. Stops before an object
  // that waits, and goes on with that at the next call. `when_full`: none refuses.
  Result<uint32_t> CarryOut(uint32_t most, uint64_t frames,
                            const std::function<WhenFull(uint64_t need_bytes)>& when_full = {});
  bool waits() const { return waits_; }  // for room
  void Answer() { Ring(page_->answers); }
  bool Empty() const { return ring_.Empty() && ahead_.empty(); }
  PutPage& page() { return *page_; }

 private:
  PutPosts(ObjectStore& store, WriteLeases& leases, uint32_t client)
      : store_(&store), leases_(&leases), client_(client) {}
  // A copy of a record; a batch's objects are in batch_.
  struct Post {
    PutPostType type{};
    PutPost put{};  // of a batch: frames and flags alone
    PutWant want{};
    std::optional<uint64_t> run{};  // taken from the leases, of an object that waits
  };
  static constexpr size_t kReadAhead = 16;
  Result<void> ReadAhead(uint64_t frames);
  Result<Post> Copy(const RingRecord& record);
  Result<ErrorCode> CarryOut(Post& post, const std::function<WhenFull(uint64_t)>& when_full);
  void Report(ErrorCode outcome);
  Result<ErrorCode> Publish(Post& post, const std::function<WhenFull(uint64_t)>& when_full);
  Result<ErrorCode> PublishAll(uint32_t flags);  // batch_
  Result<uint64_t> TakeRun(uint32_t slot, uint64_t data_bytes, uint64_t metadata_bytes);

  ObjectStore* store_;
  WriteLeases* leases_;
  uint32_t client_;
  PutPage* page_ = nullptr;
  RingConsumer ring_;
  uint32_t done_ = 0;
  uint32_t used_classes_ = 0;  // a bit for each class whose runs were posted
  std::vector<Post> ahead_;    // at most kReadAhead; between calls only while the first one waits
  bool waits_ = false;
  std::vector<PutBatchObject> batch_;  // of the last one in ahead_, where that is a batch
};

}  // namespace raylet::store

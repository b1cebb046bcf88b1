#include "store/put_posts.h"

#include <bit>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "store/transaction.h"

namespace raylet::store {
namespace {

template <class T>
bool Read(std::span<const std::byte> record, T& value) {
  if (record.size() != sizeof(T)) return false;
  std::memcpy(&value, record.data(), sizeof(T));
  return true;
}

ObjectId IdOf(const uint8_t (&bytes)[20]) {
  ObjectId id;
  static_assert(sizeof bytes == ObjectId::kSize);
  std::memcpy(id.mutable_data(), bytes, sizeof bytes);
  return id;
}

uint64_t InArena(uint64_t data_bytes, uint64_t metadata_bytes) { return AlignUp(data_bytes) + metadata_bytes; }

}  // namespace

Result<PutPosts> PutPosts::Attach(ObjectStore& store, WriteLeases& leases, uint32_t client,
                                  std::span<std::byte> memory) {
  PutPosts posts(store, leases, client);
  auto ring = RingConsumer::Attach(PutRingOf(memory));
  if (!ring) return Fail(std::move(ring).error());
  posts.ring_ = *std::move(ring);
  posts.page_ = reinterpret_cast<PutPage*>(memory.data());
  return posts;
}

Result<uint32_t> PutPosts::CarryOut(uint32_t most, uint64_t frames,
                                    const std::function<WhenFull(uint64_t)>& when_full) {
  if (Empty()) return 0;
  const Transaction transaction(store_->counters(), store_->arena());  // with the leases
  Result<uint32_t> carried = 0;
  waits_ = false;
  while (carried && *carried < most && !waits_) {
    const auto read = ahead_.empty() ? ReadAhead(frames) : Result<void>();
    if (ahead_.empty() && read) break;
    size_t done = 0;
    for (Post& post : ahead_) {
      const auto outcome = CarryOut(post, when_full);
      if (waits_) break;
      ++done;
      if (!outcome) {
        carried = Fail(outcome.error());
        break;
      }
      Report(*outcome);
      ++*carried;
    }
    ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<std::ptrdiff_t>(done));
    if (carried && !read) carried = Fail(read.error());
  }
  // After the answers, which somebody may wait for.
  for (uint32_t used = std::exchange(used_classes_, 0); used != 0; used &= used - 1)
    leases_->TopUp(client_, static_cast<uint32_t>(std::countr_zero(used)));
  store_->counters().leased_bytes.store(leases_->leased_bytes(), std::memory_order_relaxed);
  return carried;
}

// Reads posts ahead of carrying them out, so that the index has their chains in the cache by then.
Result<void> PutPosts::ReadAhead(uint64_t frames) {
  ahead_.clear();
  while (ahead_.size() < kReadAhead) {
    const auto record = ring_.Peek();
    if (!record) return Fail(record.error());
    if (!record->has_value()) return {};
    const auto post = Copy(**record);
    if (!post) return Fail(post.error());
    if (post->put.frames > frames) return {};  // it waits for a message
    ahead_.push_back(*post);
    ring_.Pop();
    if (post->type == PutPostType::kPut || post->type == PutPostType::kSeal) store_->Prefetch(IdOf(post->put.id));
    if (post->type == PutPostType::kBatch) return {};  // its objects are in batch_
  }
  return {};
}

Result<PutPosts::Post> PutPosts::Copy(const RingRecord& record) {
  Post post{.type = static_cast<PutPostType>(record.type)};
  PutBatchHead head;
  bool sound = false;
  switch (post.type) {
    case PutPostType::kPut:
    case PutPostType::kSeal: sound = Read(record.bytes, post.put); break;
    case PutPostType::kWant: sound = Read(record.bytes, post.want); break;
    case PutPostType::kBatch: {
      sound = record.bytes.size() >= sizeof head && Read(record.bytes.first(sizeof head), head) &&
              head.count <= kPutBatchObjectsMax &&
              record.bytes.size() == sizeof head + head.count * sizeof(PutBatchObject);
      if (!sound) break;
      post.put.frames = head.frames;
      post.put.flags = head.flags;
      batch_.resize(head.count);
      if (head.count > 0)
        std::memcpy(batch_.data(), record.bytes.data() + sizeof head, record.bytes.size() - sizeof head);
      for (const PutBatchObject& object : batch_) store_->Prefetch(IdOf(object.id));
      break;
    }
    default: break;
  }
  if (!sound)
    return Fail(ErrorCode::kProtocolError,
                StrCat("a post of type ", record.type, " and ", record.bytes.size(), " bytes"));
  return post;
}

Result<ErrorCode> PutPosts::CarryOut(Post& post, const std::function<WhenFull(uint64_t)>& when_full) {
  switch (post.type) {
    case PutPostType::kPut: return Publish(post, when_full);
    case PutPostType::kSeal: {
      const auto sealed = store_->Seal(client_, IdOf(post.put.id));
      return sealed ? ErrorCode::kOk : sealed.error().code;
    }
    case PutPostType::kBatch: return PublishAll(post.put.flags);
    case PutPostType::kWant: leases_->Want(client_, post.want.put_class, post.want.count); break;
  }
  return ErrorCode::kOk;
}

void PutPosts::Report(ErrorCode outcome) {
  page_->outcomes[done_ % kPostsMax].store(static_cast<uint16_t>(outcome), std::memory_order_relaxed);
  page_->done.store(++done_, std::memory_order_release);  // with the client's acquire: the outcome, and new grants
}

Result<uint64_t> PutPosts::TakeRun(uint32_t slot, uint64_t data_bytes, uint64_t metadata_bytes) {
  const auto run = leases_->Take(client_, slot, InArena(data_bytes, metadata_bytes));
  if (run) {
    used_classes_ |= 1U << slot / kGrantsPerClass;
    return *run;
  }
  return Fail(ErrorCode::kProtocolError, StrCat("a post of ", data_bytes, " and ", metadata_bytes, " bytes in slot ",
                                                slot, ", which client ", client_, " does not lease"));
}

Result<ErrorCode> PutPosts::Publish(Post& of, const std::function<WhenFull(uint64_t)>& when_full) {
  const PutPost& post = of.put;
  if (!of.run) {
    const auto run = TakeRun(post.slot, post.data_bytes, post.metadata_bytes);
    if (!run) return Fail(run.error());
    of.run = *run;
  }
  const ObjectId id = IdOf(post.id);
  const ObjectOptions options{.data_bytes = post.data_bytes,
                              .metadata_bytes = post.metadata_bytes,
                              .evict_if_full = (post.flags & kPutEvictFlag) != 0,
                              .owned = (post.flags & kPutOwnedFlag) != 0,
                              .owner = post.owner,
                              .run = *of.run};
  FullNumbers full;
  full.names_pinners = false;  // the client asks again by a message
  ErrorCode code = ErrorCode::kOk;
  auto created = store_->Create(client_, id, options, full);
  if (!created && created.error().code == ErrorCode::kFull && options.evict_if_full && when_full) {
    WhenFull next = when_full(uint64_t{post.data_bytes} + post.metadata_bytes);
    if (next == WhenFull::kTryAgain) {
      created = store_->Create(client_, id, options, full);
      next = WhenFull::kWait;
    }
    waits_ = !created && created.error().code == ErrorCode::kFull && next == WhenFull::kWait;
    if (waits_) return ErrorCode::kFull;
  }
  if (!created) {
    code = created.error().code;
    leases_->Free(*of.run);
  } else if (const auto sealed = store_->Seal(client_, id); !sealed) {
    code = sealed.error().code;
  }
  return code;
}

Result<ErrorCode> PutPosts::PublishAll(uint32_t flags) {
  FullNumbers full;
  full.names_pinners = false;
  ErrorCode code = ErrorCode::kOk;
  std::vector<ObjectId> created;
  created.reserve(batch_.size());
  for (const PutBatchObject& object : batch_) {
    const auto run = TakeRun(object.slot, object.data_bytes, object.metadata_bytes);
    const ObjectId id = IdOf(object.id);
    if (run && code == ErrorCode::kOk) {
      const auto made = store_->Create(client_, id,
                                       {.data_bytes = object.data_bytes,
                                        .metadata_bytes = object.metadata_bytes,
                                        .evict_if_full = (flags & kPutEvictFlag) != 0,
                                        .run = *run},
                                       full);
      if (made) {
        created.push_back(id);
        continue;
      }
      code = made.error().code;
    }
    // After an error the runs of the others end, too.
    if (run)
      leases_->Free(*run);
    else
      code = run.error().code;
  }
  for (const ObjectId& id : created) {
    // It is unsealed and the client's own, and nobody owns it: neither fails.
    static_cast<void>(code == ErrorCode::kOk ? store_->Seal(client_, id) : store_->Abort(client_, id));
  }
  if (code == ErrorCode::kProtocolError)
    return Fail(code, StrCat("a batch with a slot that client ", client_, " does not lease"));
  return code;
}

}  // namespace raylet::store

// ActorHost: the actor's end of its call channels: takes calls in order, runs them, writes replies. Owned by the worker
// loop; its thread only. Never blocks on a caller that does not read: replies wait in the channel's queue.
// Always holds: while many bytes of replies wait, the host reads no more calls of the callers they are for. It serves
// the others, and goes on once those callers read. While the lease of its actor does not hold, it begins no call and
// writes no reply: the actor may run on another machine by now. An actor that runs several calls at a time has
// CallThreads: its calls begin in order, and its replies go in the order in which the calls end.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "client/ray/cluster/call_channel.h"
#include "client/ray/worker/call_executor.h"
#include "client/ray/worker/call_threads.h"
#include "fbs/lease_page.h"

namespace raylet::client {

// Bytes of replies that may wait for one caller, and for all callers of an actor together. One
// reply more may wait for each caller.
constexpr size_t kWaitingRepliesBytesMax = size_t{4} << 20;
constexpr size_t kAllWaitingRepliesBytesMax = size_t{16} << 20;

struct HostedChannel {
  uint64_t number = 0;
  uint32_t incarnation = 0;
  ProcessId caller = 0;
  uint32_t caller_store_client = 0;
  ChannelMemory memory;
  bool relayed = false;  // the caller is on another machine
  bool refused = false;  // the caller wrote nonsense: nothing more is read from it
  bool closing = false;  // relayed, and the caller has gone: its raylet still looks at the results

  struct Record {
    CallRecordType type = CallRecordType::kReply;
    Bytes bytes;
    size_t counted() const { return sizeof(Record) + bytes.size(); }
  };
  std::deque<Record> waiting;  // replies for which the ring had no room
  size_t waiting_bytes = 0;    // sum of their counted()
  size_t on_threads = 0;       // its calls that run on the actor's threads
};

class ActorHost {
 public:
  ActorHost(Ownership& ownership, CallRunner& runner) : ownership_(ownership), runner_(runner) {}
  ~ActorHost();

  void SetInstance(ray::internal::ActorInstance instance, uint32_t incarnation, LeaseView lease) {
    instance_ = instance;
    incarnation_ = incarnation;
    lease_ = lease;
  }
  // Runs calls there from now on, instead of one at a time on the main thread.
  void SetThreads(std::unique_ptr<CallThreads> threads) { threads_ = std::move(threads); }
  bool has_instance() const { return instance_.object != nullptr; }
  // Refuses a channel to another incarnation.
  void Open(std::unique_ptr<HostedChannel> channel);
  // Takes the releases of lends that lie in the channel, and none of its calls.
  void Close(uint64_t number);
  // A relayed channel that was closed and into which this host writes nothing more. Returns each once; 0: none.
  uint64_t TakeReleased();

  // What callers release, for an actor that takes no call any more.
  void TakeReleases();
  // Whether ServeSome would do anything, were it not for the lease: cheap, asked while spinning.
  bool HasWork();
  bool RunsCalls() const { return threads_ != nullptr && threads_->Runs(); }
  bool Idle() const;  // no call that it takes waits in a ring or runs, and no reply waits for room
  bool MayServe() const { return lease_.Holds(); }
  enum class Served { kNothing, kSome, kActorExits };
  Served ServeSome();

 private:
  bool Reads(const HostedChannel& channel) const;  // whether it takes calls now
  Result<Served> ServeOne(HostedChannel& channel);
  Result<void> BeginOnThread(HostedChannel& channel, std::span<const std::byte> record);
  Served AnswerDone();
  void Answer(HostedChannel& channel, const CallRecord& call, const CallOutcome& outcome);
  void Reply(HostedChannel& channel, const ReplyRecord& reply);
  void Refuse(HostedChannel& channel, const Error& nonsense);
  void Erase(std::vector<std::unique_ptr<HostedChannel>>::iterator channel);
  void TakeReleases(HostedChannel& channel);
  bool TakeRelease(const HostedChannel& channel, const RingRecord& record);  // false: it is another record
  void Wait(HostedChannel& channel, HostedChannel::Record record);
  bool SendWaiting(HostedChannel& channel);  // true: some went

  Ownership& ownership_;
  CallRunner& runner_;
  ray::internal::ActorInstance instance_;
  uint32_t incarnation_ = 0;
  LeaseView lease_;
  bool serves_ = true;  // whether the lease held at the last look, before the call or reply under way
  std::vector<std::unique_ptr<HostedChannel>> channels_;
  size_t first_ = 0;                      // the channel whose turn it is to have a call begun on a thread
  size_t waiting_bytes_ = 0;              // of all channels
  CallRecord record_;                     // of the call under way; its memory is used again
  std::unique_ptr<CallThreads> threads_;  // null: one call at a time, on the main thread
};

}  // namespace raylet::client

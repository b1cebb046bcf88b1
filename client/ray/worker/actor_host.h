// ActorHost: the actor's end of its call channels: takes calls in order, runs them, writes replies.
// Owned by the worker loop; its thread only. Never blocks on a caller that does not read: replies
// wait in a queue of the channel's, which the caller bounds by its calls in flight.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "client/ray/cluster/call_channel.h"
#include "client/ray/worker/call_executor.h"

namespace raylet::client {

struct HostedChannel {
  uint64_t number = 0;
  ProcessId caller = 0;
  uint32_t caller_store_client = 0;
  ChannelMemory memory;
  bool relayed = false;  // the caller is on another machine
  bool refused = false;  // the caller wrote nonsense: nothing more is read from it
  bool closing = false;  // relayed, and the caller has gone: its raylet still looks at the results

  struct Record {
    CallRecordType type = CallRecordType::kReply;
    Bytes bytes;
  };
  std::deque<Record> waiting;  // replies for which the ring had no room
};

class ActorHost {
 public:
  ActorHost(Ownership& ownership, CallRunner& runner) : ownership_(ownership), runner_(runner) {}
  ~ActorHost();

  void SetInstance(ray::internal::ActorInstance instance) { instance_ = instance; }
  bool has_instance() const { return instance_.object != nullptr; }
  void Open(std::unique_ptr<HostedChannel> channel) { channels_.push_back(std::move(channel)); }
  void Close(uint64_t number);
  // A relayed channel that was closed and into which nothing more is written, once for each; 0:
  // none.
  uint64_t TakeReleased();

  // Whether ServeSome would do anything: cheap, asked while spinning.
  bool HasWork();
  enum class Served { kNothing, kSome, kActorExits };
  Served ServeSome();

 private:
  Result<Served> ServeOne(HostedChannel& channel);
  void Reply(HostedChannel& channel, const ReplyRecord& reply);
  void Refuse(HostedChannel& channel, const Error& nonsense);
  bool SendWaiting(HostedChannel& channel);  // true: some went

  Ownership& ownership_;
  CallRunner& runner_;
  ray::internal::ActorInstance instance_;
  std::vector<std::unique_ptr<HostedChannel>> channels_;
  CallRecord record_;  // of the call under way; its memory is used again
};

}  // namespace raylet::client

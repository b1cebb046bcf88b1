// RelayEnd: one process's end of a relayed call channel: the rings that the process shares with
// this raylet, which plays the other side. Owned by the ChannelRelay; loop thread only.
// Always holds: records for the process wait here in order while its ring is full, at most
// kRelayWaitingBytesMax of them. Nothing is read from a process that wrote nonsense.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>

#include "base/bell.h"
#include "base/loop.h"
#include "base/ring.h"
#include "fbs/call_record.h"
#include "fbs/messages.h"

namespace raylet {

// Bytes of one direction that may be under way. Each record counts 8 bytes more, for size and type.
constexpr size_t kRelayWindowBytes = kChannelRingBytes;
constexpr size_t kRelayRecordBytesMax = kChannelRingBytes / 4;
constexpr size_t kRelayBatchBytes = size_t{256} << 10;  // bytes of records in one message
// A sender stops once the window is used up. It may exceed the window by one record.
constexpr size_t kRelayWaitingBytesMax = kRelayWindowBytes + kRelayRecordBytesMax + 8;

struct RelayRecord {
  uint32_t type = 0;
  std::span<const std::byte> bytes;
  size_t counted() const { return bytes.size() + 8; }
};

void AppendRelayRecord(std::vector<uint8_t>& out, const RelayRecord& record);
// Calls `each` with views into `records`. kProtocolError unless they are whole records that fit
// into a ring.
Result<void> EachRelayRecord(std::span<const uint8_t> records,
                             const std::function<Result<void>(const RelayRecord&)>& each);

class RelayEnd {
 public:
  enum class Process { kCaller, kWorker };
  // The process's descriptors: the channel's memory, and the bell that the process rings.
  struct Descriptors {
    UniqueFd channel;
    UniqueFd bell;
  };
  // `doorbell` belongs to the process. The loop calls `rung` whenever the process has written or taken records.
  static Result<std::unique_ptr<RelayEnd>> Make(Loop& loop, Process process, const std::string& name,
                                                const UniqueFd& doorbell, std::function<void()> rung,
                                                Descriptors& descriptors);

  // The next record of the process, or nothing. kProtocolError where it makes no sense.
  Result<std::optional<RelayRecord>> Peek();
  void Pop() { from_process_.Pop(); }
  void TellOfRoom();  // after some Pops: wakes a process that found its ring full

  // Hands the record over, now or when there is room. kProtocolError where too many bytes wait.
  Result<void> Push(const RelayRecord& record);
  // Hands over waiting records as far as there is room. Calls `handed` for each.
  using Handed = std::function<void(const RelayRecord&)>;
  void Flush(const Handed& handed);
  bool waits() const { return !waiting_.empty(); }
  bool broken() const { return to_process_.broken(); }  // the process wrote nonsense: it gets nothing more
  // Takes out the records that were never handed over.
  void Drop(const Handed& dropped);
  void Quiet() { watcher_.Watch({}); }  // `rung` is not called afterwards

 private:
  struct Waiting {
    uint32_t type = 0;
    Bytes bytes;
  };
  RelayEnd(Loop& loop, UniqueFd event, std::function<void()> rung);
  void OnEvent(const std::function<void()>& rung);

  Mapping memory_;
  RingConsumer from_process_;
  RingProducer to_process_;
  Bell bell_;
  UniqueFd event_;
  FdWatcher watcher_;  // after event_: stops before it closes
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
};

}  // namespace raylet

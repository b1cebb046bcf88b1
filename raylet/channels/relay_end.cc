#include "raylet/channels/relay_end.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/strings.h"

namespace raylet {

void AppendRelayRecord(std::vector<uint8_t>& out, const RelayRecord& record) {
  const auto size = static_cast<uint32_t>(record.bytes.size());
  const size_t at = out.size();
  out.resize(at + record.counted());
  std::memcpy(out.data() + at, &size, 4);
  std::memcpy(out.data() + at + 4, &record.type, 4);
  if (size != 0) std::memcpy(out.data() + at + 8, record.bytes.data(), size);
}

Result<void> EachRelayRecord(std::span<const uint8_t> records,
                             const std::function<Result<void>(const RelayRecord&)>& each) {
  while (!records.empty()) {
    uint32_t size = 0;
    RelayRecord record;
    if (records.size() < 8) return Fail(ErrorCode::kProtocolError, "a relayed record is cut short");
    std::memcpy(&size, records.data(), 4);
    std::memcpy(&record.type, records.data() + 4, 4);
    if (size > records.size() - 8 || size > kRelayRecordBytesMax) {
      return Fail(ErrorCode::kProtocolError,
                  StrCat("a relayed record claims ", size, " bytes where ", records.size() - 8, " follow and ",
                         kRelayRecordBytesMax, " is the most"));
    }
    record.bytes = std::as_bytes(records.subspan(8, size));
    RAYLET_RETURN_IF_ERROR(each(record));
    records = records.subspan(8 + size);
  }
  return {};
}

Result<std::unique_ptr<RelayEnd>> RelayEnd::Make(Loop& loop, Process process, const std::string& name,
                                                 const UniqueFd& doorbell, std::function<void()> rung,
                                                 Descriptors& descriptors) {
  auto bell = Bell::OfDoorbell(doorbell.get());
  if (!bell) return Fail(std::move(bell).error());
  auto event = Bell::NewEvent();
  if (!event) return Fail(std::move(event).error());
  UniqueFd theirs(::fcntl(event->get(), F_DUPFD_CLOEXEC, 0));
  if (!theirs) return FailErrno("cannot duplicate the descriptor of a channel's bell", errno);
  auto channel = CreateMemfd(name, ChannelBytes(), /*reserve=*/false);
  if (!channel) return Fail(std::move(channel).error());
  auto memory = Mapping::Map(channel->get(), ChannelBytes(), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  const std::span<std::byte> all(memory->data(), memory->size());
  InitChannel(all);
  const auto [calls, replies] = RingsOf(all);
  auto consumer = RingConsumer::Attach(process == Process::kCaller ? calls : replies);
  if (!consumer) return Fail(std::move(consumer).error());
  auto producer = RingProducer::Attach(process == Process::kCaller ? replies : calls);
  if (!producer) return Fail(std::move(producer).error());
  std::unique_ptr<RelayEnd> end(new RelayEnd(loop, *std::move(event), std::move(rung)));
  end->memory_ = *std::move(memory);
  end->from_process_ = *consumer;
  end->to_process_ = *producer;
  end->bell_ = *std::move(bell);
  descriptors.channel = *std::move(channel);
  descriptors.bell = std::move(theirs);
  return end;
}

RelayEnd::RelayEnd(Loop& loop, UniqueFd event, std::function<void()> rung)
    : event_(std::move(event)),
      watcher_(loop, event_.get(), [this, rung = std::move(rung)](FdWatcher::Events) { OnEvent(rung); }) {
  watcher_.Watch({true, false});
}

void RelayEnd::OnEvent(const std::function<void()>& rung) {
  uint64_t rings = 0;
  // EAGAIN means that the event was read before. The caller looks for records after this read, so
  // no ring is missed.
  static_cast<void>(::read(event_.get(), &rings, sizeof rings));
  rung();
}

Result<std::optional<RelayRecord>> RelayEnd::Peek() {
  const auto record = from_process_.Peek();
  if (!record) return Fail(record.error());
  if (!record->has_value()) return std::optional<RelayRecord>();
  if ((*record)->bytes.size() > kRelayRecordBytesMax)
    return Fail(ErrorCode::kProtocolError, StrCat("a channel's record has ", (*record)->bytes.size(), " bytes and ",
                                                  kRelayRecordBytesMax, " is the most"));
  return std::optional<RelayRecord>({(*record)->type, (*record)->bytes});
}

void RelayEnd::TellOfRoom() {
  if (from_process_.TakeRoomNews()) bell_.Ring();
}

Result<void> RelayEnd::Push(const RelayRecord& record) {
  if (waiting_bytes_ + record.counted() > kRelayWaitingBytesMax)
    return Fail(ErrorCode::kProtocolError,
                StrCat("more than ", kRelayWaitingBytesMax, " bytes of records wait for a process that takes none"));
  waiting_bytes_ += record.counted();
  waiting_.push_back({record.type, Bytes(record.bytes.begin(), record.bytes.end())});
  return {};
}

void RelayEnd::Flush(const Handed& handed) {
  bool any = false;
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    if (!to_process_.TryPush(next.type, next.bytes)) break;
    any = true;
    const RelayRecord record{next.type, next.bytes};
    waiting_bytes_ -= record.counted();
    handed(record);
    waiting_.pop_front();
  }
  if (any) bell_.Ring();
}

void RelayEnd::Drop(const Handed& dropped) {
  for (const Waiting& each : std::exchange(waiting_, {})) dropped({each.type, each.bytes});
  waiting_bytes_ = 0;
}

}  // namespace raylet

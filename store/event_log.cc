#include "store/event_log.h"

#include <algorithm>
#include <cstring>

namespace raylet::store {
namespace {

constexpr uint64_t kTogetherMs = 1000;

template <size_t kSize>
void CopyName(char (&to)[kSize], const char* name) {
  std::memcpy(to, name, std::min(std::strlen(name), kSize - 1));
}

}  // namespace

EventLog::EventLog(IndexHeader& header) : header_(header), number_(header.last_event.load(std::memory_order_relaxed)) {}

void EventLog::Full(uint64_t now_ms, uint32_t client, const ObjectId& id, const FullNumbers& numbers,
                    const ClientTable& clients) {
  Event event;
  event.time_ms = now_ms;
  event.kind = EventKind::kFull;
  event.client = client;
  event.bytes = numbers.need_bytes;
  event.free_bytes = numbers.free_bytes;
  event.largest_run_bytes = numbers.largest_run_bytes;
  event.pinned_bytes = numbers.pinned_bytes;
  std::memcpy(event.id, id.data(), sizeof event.id);
  const auto hold = [&event](uint64_t bytes, HeldAs held_as, int32_t pid, const char* program) {
    if (bytes <= event.holder_bytes) return;
    event.holder_bytes = bytes;
    event.held_as = held_as;
    event.holder_pid = pid;
    std::memset(event.holder_program, 0, sizeof event.holder_program);
    CopyName(event.holder_program, program);
  };
  if (!numbers.pinners.empty()) {
    const Pinner& most = numbers.pinners.front();
    hold(most.bytes, HeldAs::kPinned, most.pid, most.program.c_str());
  }
  for (const auto& [number, each] : clients.all()) {
    const int32_t pid = each.row->pid.load(std::memory_order_relaxed);
    hold(each.row->owned_bytes.load(std::memory_order_relaxed), HeldAs::kOwned, pid, each.row->name);
    hold(each.row->unsealed_bytes.load(std::memory_order_relaxed), HeldAs::kUnsealed, pid, each.row->name);
    if (number != client) continue;
    event.pid = pid;
    CopyName(event.program, each.row->name);
  }
  Write(event);
}

void EventLog::Moved(EventKind kind, uint64_t now_ms, uint64_t objects, uint64_t bytes) {
  if (objects == 0) return;
  Event event;
  event.time_ms = now_ms;
  event.kind = kind;
  event.objects = objects;
  event.bytes = bytes;
  Write(event);
}

void EventLog::SpillFailed(uint64_t now_ms) {
  Event event;
  event.time_ms = now_ms;
  event.kind = EventKind::kSpillFailed;
  Write(event);
}

void EventLog::Lost(uint64_t now_ms, const ObjectId& id, uint64_t bytes) {
  Event event;
  event.time_ms = now_ms;
  event.kind = EventKind::kLost;
  event.objects = 1;
  event.bytes = bytes;
  std::memcpy(event.id, id.data(), sizeof event.id);
  Write(event);
}

void EventLog::ClientLeft(uint64_t now_ms, uint32_t client, const ClientRow& row) {
  Event event;
  event.time_ms = now_ms;
  event.kind = EventKind::kClientLeft;
  event.client = client;
  event.pid = row.pid.load(std::memory_order_relaxed);
  event.bytes = row.unsealed_bytes.load(std::memory_order_relaxed) + row.owned_bytes.load(std::memory_order_relaxed);
  CopyName(event.program, row.name);
  if (event.bytes != 0) Write(event);
}

void EventLog::Write(Event event) {
  const bool joins = number_ != 0 && last_.kind == event.kind && last_.client == event.client &&
                     event.time_ms - first_ms_ < kTogetherMs;
  if (joins) {
    event.count += last_.count;
    event.objects += last_.objects;
    if (event.kind != EventKind::kFull && event.kind != EventKind::kClientLeft) event.bytes += last_.bytes;
  } else {
    first_ms_ = event.time_ms;
    ++number_;
  }
  last_ = event;
  WriteEvent(header_.events[static_cast<std::ptrdiff_t>(number_ % kEventSlots)], number_, event);
  header_.last_event.store(number_, std::memory_order_release);
}

}  // namespace raylet::store

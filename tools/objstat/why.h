// Why: why an object is here or not, and whether a create of some size would find room. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

struct Answer {
  std::string verdict;               // one sentence
  std::vector<std::string> reasons;  // sentences, the most important first
  std::string remedy;                // empty: nothing needs doing
};

// `digits` are those of CheckIdText. kInvalid: several ids begin with them.
Result<Answer> WhyObject(const Snapshot& snapshot, const std::string& digits);
// Of a create that may evict.
Answer WhySize(const Snapshot& snapshot, uint64_t bytes);

std::string AnswerText(const Snapshot& snapshot, const Answer& answer, Look look);
nlohmann::json AnswerJson(const Answer& answer);

}  // namespace raylet::objstat

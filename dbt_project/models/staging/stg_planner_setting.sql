{{ stage_entity('planner_setting') }}

{{ stage_entity('bill_of_material') }}

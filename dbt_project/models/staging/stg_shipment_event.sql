{{ stage_entity('shipment_event') }}
